//! The shipped image on a real hypervisor, spoken to over TCP and its toolstack only.

#![forbid(unsafe_code)]

mod abuse;
mod admin;
mod backup;
mod conformance;
mod crash;
mod devices;
mod ends;
mod examples;
mod first_steps;
mod lifecycle;
mod slow;
mod standstill;
mod syslog;
mod tls;
mod values;
