//! By which door a connection came in: that of the users, or that of the owner.

/// What a connection may reach.
///
/// Health and metrics are on both; whatever else is on one is not found on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// Values, lists and the site (`http.port`).
    Data,
    /// `/-/admin/`, and never the users' bytes (`admin.port`).
    Admin,
}
