//! Which resource a target names on which plane, and what a request makes of it.

use crate::admin::Subject;
use crate::answer::Answer;
use crate::auth::{self, Caller, Intent};
use crate::awaited::Awaited;
use crate::config::MetricsMode;
use crate::connection::Sink;
use crate::http::head::{Framing, Request};
use crate::http::method::{Allowed, Method};
use crate::http::precondition::Verdict;
use crate::http::target::{self, QueryError};
use crate::incr::{self, Increment};
use crate::kv::{self, Place};
use crate::listing::{self, Values};
use crate::plane::Plane;
use crate::problem::{self, Kind, Problem};
use crate::service::{Pending, Service};
use crate::value::Fetch;
use crate::watch::{self, Watch};
use crate::{admin, batch, cors, health, metrics, refusal, site};
use alloc::boxed::Box;
use alloc::format;
use store::backup::Backup;
use store::{BucketName, Committed, Now, Refusal};

/// What a request leads to.
pub(crate) enum Action {
    /// It can be answered at once.
    Answer(Answer),
    /// The store has to move before it can be said: then the request is judged anew.
    Later,
    /// A value has to be read.
    Fetch(Box<Fetch>),
    /// A backup has to be read.
    BackUp(Box<Backup>),
    /// A body has to be received.
    Receive(Sink),
    /// A short body has to be collected, which is about this.
    Collect(Subject),
    /// A value has to be waited for, and a number be added to it.
    Increment(Box<Increment>),
    /// The values of a page have to be read.
    List(Box<Values>),
    /// Changes have to be told as they come.
    Watch(Box<Watch>),
    /// Something has to come about, which it does in any case.
    Await(Awaited),
    /// A change has been handed in.
    Commit(Pending, Accepted),
}

/// A change that the store has taken in, and that is answered when it is durable.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// Of a value.
    Value(kv::Written),
    /// Of many.
    Batch(Box<batch::Asked>),
    /// By the owner.
    Admin(admin::Done),
    /// None: a value was looked at that may be told of when it is durable, and this is why.
    Refused(Box<Problem>),
}

impl Accepted {
    /// What else has to be durable before it is answered.
    pub(crate) fn next(&mut self) -> Option<Pending> {
        match self {
            Accepted::Admin(done) => done.next(),
            _ => None,
        }
    }
}

/// A resource.
enum Route<'h> {
    /// `OPTIONS *`
    Server,
    Value(Place),
    Admin(admin::Resource),
    Counter(Place),
    Batch,
    Keys(BucketName),
    Watch(BucketName),
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
    plane: Plane,
    now: Now,
) -> Result<Action, Problem> {
    let path = request.target.path;
    let route = match plane {
        Plane::Data => data_route(path)?,
        Plane::Admin => admin_route(path)?,
    };
    if matches!(route, Route::Nothing) {
        return Err(nothing(plane));
    }
    let allowed = allowed(&route);
    if !allowed.contains(request.method) {
        return Err(not_allowed(allowed));
    }
    if request.method == Method::Options {
        let mut answer = Answer::empty(204);
        answer.line("Allow", allowed.as_str());
        if plane == Plane::Data {
            let origin = service.config.cors.as_deref();
            cors::preflight(origin, allowed.as_str(), &mut answer);
        }
        return Ok(Action::Answer(answer));
    }
    let query = request.target.query;
    let answer = match route {
        Route::Site => return site::page(service, request, now),
        Route::Value(place) => return kv::value(service, request, place, now),
        Route::Admin(resource) => {
            let action = admin::dispatch(service, request, (resource, now))?;
            return match action {
                Action::Answer(answer) => untagged(request, answer, now).map(Action::Answer),
                other => Ok(other),
            };
        }
        Route::Counter(place) => return incr::begin(service, request, place, now),
        Route::Batch => return batch::begin(service, request, now),
        Route::Keys(bucket) => return listing::keys(service, request, &bucket, now),
        Route::Watch(bucket) => {
            let watch = watch::begin(service, request, bucket)?;
            let answer = untagged(request, Answer::empty(200), now)?;
            return Ok(match answer.status {
                200 => Action::Watch(Box::new(watch)),
                _ => Action::Answer(answer),
            });
        }
        Route::Buckets => listing::buckets(service, request)?,
        Route::Health => {
            no_parameters(query)?;
            health::healthz()
        }
        Route::Ready => health::readyz(service, query)?,
        Route::Metrics => {
            no_parameters(query)?;
            admit(service, request, metrics_intent(service, plane))?;
            metrics::page(service, now)
        }
        Route::Problem(name) => problem::page(name).ok_or_else(|| nothing(plane))?,
        Route::Server | Route::Nothing => return Err(nothing(plane)),
    };
    untagged(request, answer, now).map(Action::Answer)
}

/// What the preconditions leave of the answer to a GET or HEAD of what has neither a tag nor a
/// date.
///
/// # Errors
/// They do not hold, or are none.
pub(crate) fn untagged(request: &Request<'_>, answer: Answer, now: Now) -> Result<Answer, Problem> {
    let reads = matches!(request.method, Method::Get | Method::Head);
    if !reads || answer.status != 200 {
        return Ok(answer);
    }
    match kv::preconditions(request, now)?.untagged(true) {
        Verdict::Proceed => Ok(answer),
        Verdict::NotModified => {
            let mut same = Answer::empty(304);
            same.line("Cache-Control", "no-store");
            Ok(same)
        }
        Verdict::Failed => Err(kv::untagged_failed()),
    }
}

/// The same of a change of it: refuses it if they do not hold.
///
/// # Errors
/// They do not hold, or are none.
pub(crate) fn refuse_unless(
    request: &Request<'_>,
    is_there: bool,
    now: Now,
) -> Result<(), Problem> {
    match kv::preconditions(request, now)?.untagged(is_there) {
        Verdict::Proceed => Ok(()),
        Verdict::NotModified | Verdict::Failed => Err(kv::untagged_failed()),
    }
}

/// The answer to a change that has ended.
///
/// # Errors
/// The refusal to answer with.
pub(crate) fn ended(
    service: &mut Service,
    accepted: Accepted,
    outcome: Result<Committed, Refusal>,
) -> Result<Answer, Problem> {
    match accepted {
        Accepted::Value(written) => kv::written(written, outcome),
        Accepted::Batch(asked) => match outcome {
            Ok(committed) => Ok(batch::answer(&asked, &committed)),
            Err(refusal) => batch::refused(&asked, refusal),
        },
        Accepted::Admin(done) => admin::done(service, done, outcome),
        Accepted::Refused(problem) => {
            outcome.map_err(refusal::problem)?;
            Err(*problem)
        }
    }
}

/// The resource a path names to the owner: nothing of the users'.
fn admin_route(path: &str) -> Result<Route<'_>, Problem> {
    if let Some(rest) = path.strip_prefix("/-/admin/") {
        let resource = admin::resource(rest)?;
        return Ok(resource.map_or(Route::Nothing, Route::Admin));
    }
    let problem = path.strip_prefix("/-/problems/").map(Route::Problem);
    let common = problem.or_else(|| common_route(path));
    Ok(common.unwrap_or(Route::Nothing))
}

/// The resource a path names to users.
fn data_route(path: &str) -> Result<Route<'_>, Problem> {
    if let Some(rest) = path.strip_prefix("/kv/") {
        return kv::place(rest).map(Route::Value);
    }
    if let Some(rest) = path.strip_prefix("/-/") {
        if let Some(place) = rest.strip_prefix("key64/") {
            return kv::place64(place).map(Route::Value);
        }
        if let Some(place) = rest.strip_prefix("incr/") {
            return kv::place(place).map(Route::Counter);
        }
        if let Some(bucket) = rest.strip_prefix("keys/") {
            return kv::bucket(bucket).map(Route::Keys);
        }
        if let Some(bucket) = rest.strip_prefix("watch/") {
            return kv::bucket(bucket).map(Route::Watch);
        }
        if let Some(name) = rest.strip_prefix("problems/") {
            return Ok(Route::Problem(name));
        }
        return Ok(match rest {
            "buckets" => Route::Buckets,
            "batch" => Route::Batch,
            _ => Route::Nothing,
        });
    }
    Ok(common_route(path).unwrap_or(match path {
        "/kv" | "/-" => Route::Nothing,
        _ => Route::Site,
    }))
}

/// What there is on both planes.
fn common_route(path: &str) -> Option<Route<'_>> {
    Some(match path {
        "*" => Route::Server,
        "/healthz" => Route::Health,
        "/readyz" => Route::Ready,
        "/metrics" => Route::Metrics,
        _ => return None,
    })
}

/// What a resource allows.
fn allowed(route: &Route<'_>) -> Allowed {
    match route {
        Route::Value(_) => Allowed::ReadWrite,
        Route::Counter(_) | Route::Batch => Allowed::Post,
        Route::Admin(resource) => resource.allowed(),
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
    service.counters.admitted(caller);
    Ok(caller)
}

fn metrics_intent(service: &Service, plane: Plane) -> Intent {
    match (service.config.metrics, plane) {
        (MetricsMode::Open, _) | (MetricsMode::OpenToAdmin, Plane::Admin) => Intent::ReadPublic,
        (MetricsMode::Token, _) | (MetricsMode::OpenToAdmin, Plane::Data) => Intent::ReadPrivate,
    }
}

fn nothing(plane: Plane) -> Problem {
    let detail = match plane {
        Plane::Data => {
            "Values are under /kv/BUCKET/KEY, lists under /-/keys/BUCKET and /-/buckets, changes \
             under /-/watch/BUCKET; /-/incr/BUCKET/KEY and /-/batch are for POST; /healthz, /readyz \
             and /metrics tell how it goes."
        }
        Plane::Admin => {
            "This is the admin port: /-/admin/buckets, /-/admin/snapshots, /healthz, /readyz and \
             /metrics. Values and the site are on http.port."
        }
    };
    Problem::new(Kind::NoSuchPath, detail)
}

fn not_allowed(allowed: Allowed) -> Problem {
    let detail = format!("This resource has {}.", allowed.as_str());
    Problem::new(Kind::MethodNotAllowed, detail).line("Allow", allowed.as_str())
}

/// What has no use for a body now may have one later, so nobody may send one and be ignored.
///
/// # Errors
/// [`Kind::UnexpectedBody`].
pub(crate) fn refuse_body(framing: Framing) -> Result<(), Problem> {
    if framing == Framing::None {
        return Ok(());
    }
    let detail = "Send this request without a body.";
    Err(Problem::new(Kind::UnexpectedBody, detail))
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
