//! Which resource a target names, and what a request makes of it.

use crate::answer::Answer;
use crate::auth::{self, Caller, Intent};
use crate::http::head::Request;
use crate::http::method::{Allowed, Method};
use crate::http::target::{self, QueryError};
use crate::kv::{self, Place};
use crate::problem::{self, Kind, Problem};
use crate::service::{Pending, Service};
use crate::value::Fetch;
use crate::{health, listing, metrics, site};
use alloc::boxed::Box;
use alloc::format;
use store::{BucketName, Now, Upload};

/// What a request leads to.
pub(crate) enum Action {
    /// It can be answered at once.
    Answer(Answer),
    /// A value has to be read.
    Fetch(Box<Fetch>),
    /// A body has to be received.
    Receive(Upload),
    /// A change has been handed in.
    Commit(Pending, kv::Written),
}

/// A resource.
enum Route<'h> {
    /// `OPTIONS *`
    Server,
    Value(Place),
    Keys(BucketName),
    Buckets,
    Health,
    Ready,
    Metrics,
    Problem(&'h str),
    Site,
    /// Reserved, and nothing there.
    Nothing,
}

/// Answers a request, or begins to.
///
/// # Errors
/// The refusal to answer with.
pub(crate) fn dispatch(
    service: &mut Service,
    request: &Request<'_>,
    now: Now,
) -> Result<Action, Problem> {
    let route = route(request.target.path)?;
    let allowed = allowed(&route);
    if !allowed.contains(request.method) {
        return Err(not_allowed(allowed));
    }
    if request.method == Method::Options {
        let mut answer = Answer::empty(204);
        answer.line("Allow", allowed.as_str());
        return Ok(Action::Answer(answer));
    }
    let query = request.target.query;
    let answer = match route {
        Route::Value(place) => return kv::value(service, request, place, now),
        Route::Site => return site::page(service, request, now),
        Route::Keys(bucket) => listing::keys(service, request, &bucket)?,
        Route::Buckets => listing::buckets(service, request)?,
        Route::Health => {
            no_parameters(query)?;
            health::healthz()
        }
        Route::Ready => health::readyz(service, query)?,
        Route::Metrics => {
            no_parameters(query)?;
            admit(service, request, metrics_intent(service))?;
            metrics::page(service, now)
        }
        Route::Problem(name) => problem::page(name).ok_or_else(nothing)?,
        Route::Server | Route::Nothing => return Err(nothing()),
    };
    Ok(Action::Answer(answer))
}

/// The resource a path names.
fn route(path: &str) -> Result<Route<'_>, Problem> {
    if let Some(rest) = path.strip_prefix("/kv/") {
        return kv::place(rest).map(Route::Value);
    }
    if let Some(rest) = path.strip_prefix("/-/") {
        if let Some(place) = rest.strip_prefix("key64/") {
            return kv::place64(place).map(Route::Value);
        }
        if let Some(bucket) = rest.strip_prefix("keys/") {
            return kv::bucket(bucket).map(Route::Keys);
        }
        if let Some(name) = rest.strip_prefix("problems/") {
            return Ok(Route::Problem(name));
        }
        return Ok(if rest == "buckets" {
            Route::Buckets
        } else {
            Route::Nothing
        });
    }
    Ok(match path {
        "*" => Route::Server,
        "/healthz" => Route::Health,
        "/readyz" => Route::Ready,
        "/metrics" => Route::Metrics,
        "/kv" | "/-" => Route::Nothing,
        _ => Route::Site,
    })
}

/// What a resource allows.
fn allowed(route: &Route<'_>) -> Allowed {
    match route {
        Route::Value(_) => Allowed::ReadWrite,
        Route::Server => Allowed::All,
        _ => Allowed::Read,
    }
}

/// Judges and counts.
///
/// # Errors
/// As [`auth::judge`].
pub(crate) fn admit(
    service: &mut Service,
    request: &Request<'_>,
    intent: Intent,
) -> Result<Caller, Problem> {
    let caller = auth::judge(&service.config, request, intent)?;
    if caller == Caller::TokenHolder {
        service.counters.logins += 1;
    }
    Ok(caller)
}

fn metrics_intent(service: &Service) -> Intent {
    match service.config.metrics {
        crate::config::MetricsMode::Open => Intent::ReadPublic,
        crate::config::MetricsMode::Token => Intent::ReadPrivate,
    }
}

fn nothing() -> Problem {
    Problem::new(
        Kind::NoSuchPath,
        "Values are under /kv/BUCKET/KEY, lists under /-/keys/BUCKET and /-/buckets; \
         /healthz, /readyz and /metrics tell how it goes.",
    )
}

fn not_allowed(allowed: Allowed) -> Problem {
    let detail = format!("This resource has {}.", allowed.as_str());
    Problem::new(Kind::MethodNotAllowed, detail).line("Allow", allowed.as_str())
}

/// Refuses any query.
///
/// # Errors
/// As [`bad_query`].
pub(crate) fn no_parameters(query: Option<&str>) -> Result<(), Problem> {
    target::parameters(query, [])
        .map(|[]| ())
        .map_err(bad_query)
}

/// A query that was not understood.
pub(crate) fn bad_query(error: QueryError<'_>) -> Problem {
    let detail = match error {
        QueryError::Unknown(name) => format!("There is no parameter `{name}` here."),
        QueryError::Repeated(name) => format!("The parameter `{name}` is given twice."),
        QueryError::Escape(name) => {
            format!("In the parameter `{name}` a % is not followed by two hexadecimal digits.")
        }
    };
    Problem::new(Kind::BadParameter, detail)
}
