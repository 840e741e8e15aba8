//! What there is over HTTP, as an OpenAPI 3.1 description: tables of operations, written as JSON.

mod admin;
mod data;

use crate::answer::Answer;
use crate::http::method::Method;
use crate::json::{push_member, push_string};
use crate::problem::KINDS;
use crate::service::Service;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;

/// What a path can be asked for.
struct Operation {
    path: &'static str,
    method: Method,
    id: &'static str,
    summary: &'static str,
    /// Their names among the components; those in the path come first.
    parameters: &'static [&'static str],
    body: Option<Content>,
    /// Statuses with what they mean, and what comes with them.
    answers: &'static [(u16, &'static str, Option<Content>)],
    /// Statuses of refusals.
    problems: &'static [u16],
    who: Who,
}

/// A media type, and a schema: the name of one, or JSON.
type Content = (&'static str, &'static str);

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Everybody.
    Everybody,
    /// Who has a token, and for some of it everybody.
    Anyone,
    /// Who has a token.
    Token,
}

const PARAMETERS: &str = include_str!("parameters.json");
const SCHEMAS: &str = include_str!("schemas.json");

/// The description.
pub(crate) fn document(service: &Service) -> Answer {
    let mut out = String::with_capacity(48 * 1024);
    out.push_str("{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Lampion\",");
    push_member(&mut out, "version", &service.environment.version);
    out.push_str("},\"servers\":[");
    push_server(&mut out, "http.port", "80");
    out.push_str("],\"paths\":{");
    push_paths(&mut out, data::OPERATIONS, None);
    out.push(',');
    push_paths(&mut out, admin::OPERATIONS, Some(("admin.port", "8081")));
    out.push_str("},\"components\":{\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"},\"basic\":{\"type\":\"http\",\"scheme\":\"basic\"}},\"parameters\":");
    out.push_str(PARAMETERS.trim_end());
    out.push_str(",\"schemas\":{\"Problem\":");
    push_problem(&mut out);
    // Behind the first brace.
    out.push(',');
    out.push_str(SCHEMAS.trim_end().get(1..).unwrap_or_default());
    out.push_str("}}\n");
    Answer::text(200, "application/json", out)
}

fn push_server(out: &mut String, name: &str, port: &str) {
    let _ = write!(
        out,
        "{{\"url\":\"http://{{host}}:{{port}}\",\"description\":\"{name}\",\"variables\":{{\
         \"host\":{{\"default\":\"lampion\"}},\"port\":{{\"default\":\"{port}\"}}}}}}"
    );
}

/// The operations, by their paths: those of one path stand together.
fn push_paths(out: &mut String, operations: &[Operation], server: Option<(&str, &str)>) {
    let mut path = "";
    for operation in operations {
        if operation.path == path {
            out.push(',');
        } else {
            out.push_str(if path.is_empty() { "" } else { "}," });
            path = operation.path;
            push_string(out, path);
            out.push_str(":{");
            if let Some((name, port)) = server {
                out.push_str("\"servers\":[");
                push_server(out, name, port);
                out.push_str("],");
            }
        }
        push_operation(out, operation);
    }
    out.push('}');
}

fn push_operation(out: &mut String, operation: &Operation) {
    let method = format!("{:?}", operation.method).to_ascii_lowercase();
    push_string(out, &method);
    out.push_str(":{");
    push_member(out, "operationId", operation.id);
    out.push(',');
    push_member(out, "summary", operation.summary);
    out.push_str(",\"security\":");
    out.push_str(match operation.who {
        Who::Everybody => "[]",
        Who::Anyone => "[{},{\"bearer\":[]},{\"basic\":[]}]",
        Who::Token => "[{\"bearer\":[]},{\"basic\":[]}]",
    });
    out.push_str(",\"parameters\":[");
    for (index, name) in operation.parameters.iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        let _ = write!(out, "{{\"$ref\":\"#/components/parameters/{name}\"}}");
    }
    out.push(']');
    if let Some(content) = operation.body {
        out.push_str(",\"requestBody\":{");
        push_content(out, content);
        out.push('}');
    }
    out.push_str(",\"responses\":{");
    for (status, meaning, content) in operation.answers {
        let _ = write!(out, "\"{status}\":{{");
        push_member(out, "description", meaning);
        if let Some(content) = content {
            out.push(',');
            push_content(out, *content);
        }
        out.push_str("},");
    }
    for status in operation.problems {
        let _ = write!(out, "\"{status}\":");
        push_refusal(out);
        out.push(',');
    }
    out.push_str("\"default\":");
    push_refusal(out);
    out.push_str("}}");
}

fn push_content(out: &mut String, (media, schema): Content) {
    let _ = write!(out, "\"content\":{{\"{media}\":{{\"schema\":");
    match schema.starts_with('{') {
        true => out.push_str(schema),
        false => {
            let _ = write!(out, "{{\"$ref\":\"#/components/schemas/{schema}\"}}");
        }
    }
    out.push_str("}}");
}

fn push_refusal(out: &mut String) {
    out.push_str("{\"description\":\"A refusal (RFC 9457).\",");
    push_content(out, ("application/problem+json", "Problem"));
    out.push('}');
}

/// A refusal, with all of its types.
fn push_problem(out: &mut String) {
    out.push_str(
        "{\"type\":\"object\",\"required\":[\"type\",\"title\",\"status\",\"detail\"],\
         \"properties\":{\"title\":{\"type\":\"string\"},\"detail\":{\"type\":\"string\"},\
         \"status\":{\"type\":\"integer\"},\"type\":{\"enum\":[",
    );
    for (index, (_, _, name, _)) in KINDS.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(out, "{comma}\"/-/problems/{name}\"");
    }
    out.push_str("]}}}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = &'static Operation> {
        data::OPERATIONS.iter().chain(admin::OPERATIONS)
    }

    #[test]
    fn statuses_are_those_of_problems_and_each_stands_once() {
        for Operation {
            id,
            answers,
            problems,
            ..
        } in all()
        {
            for status in *problems {
                let is_known = KINDS.iter().any(|(_, known, _, _)| known == status);
                assert!(is_known, "{id}: {status}");
            }
            let mut statuses: alloc::vec::Vec<u16> = problems.to_vec();
            statuses.extend(answers.iter().map(|(status, _, _)| status));
            statuses.sort_unstable();
            let count = statuses.len();
            statuses.dedup();
            assert_eq!(statuses.len(), count, "{id}");
        }
    }

    #[test]
    fn parts_are_json_and_what_is_named_is_there() {
        let parameters: serde_json::Value = serde_json::from_str(PARAMETERS).unwrap();
        let schemas: serde_json::Value = serde_json::from_str(SCHEMAS).unwrap();
        for operation in all() {
            for name in operation.parameters {
                assert!(parameters.get(name).is_some(), "{}: {name}", operation.id);
            }
            let answers = operation
                .answers
                .iter()
                .filter_map(|(_, _, content)| *content);
            for (_, schema) in answers.chain(operation.body) {
                match schema.starts_with('{') {
                    true => assert!(serde_json::from_str::<serde_json::Value>(schema).is_ok()),
                    false => assert!(schemas.get(schema).is_some(), "{schema}"),
                }
            }
        }
    }
}
