//! Whether what came back is what had to.

use crate::answers::{self, Answer};
use crate::case::{Case, Wanted};
use crate::requests;

/// The answers in what came back, as far as they are all there.
fn answers(case: &Case, output: &[u8], ended: bool) -> Result<(Vec<Answer>, usize), String> {
    let heads = requests::heads(&case.sent);
    let mut found: Vec<Answer> = Vec::new();
    let (mut at, mut request) = (0, 0);
    while at < output.len() {
        let is_head = heads.get(request).or(heads.last()).copied();
        let has_content = !is_head.unwrap_or(false);
        let Some((answer, len)) = answers::read(&output[at..], has_content, ended)? else {
            break;
        };
        request += usize::from(answer.status >= 200);
        at += len;
        found.push(answer);
    }
    Ok((found, at))
}

/// Whether as many answers have come as are wanted.
pub fn is_complete(case: &Case, output: &[u8]) -> bool {
    answers(case, output, false).is_ok_and(|(found, _)| found.len() >= case.answers.len())
}

/// Whether another request can follow behind what is sent: none of it is left to be answered.
pub fn is_at_rest(case: &Case) -> bool {
    let is_final = |wanted: &&Wanted| wanted.status >= 200;
    let stays = case.answers.last().is_some_and(|last| !last.ends) && !case.finishes;
    stays && case.answers.iter().filter(is_final).count() == requests::heads(&case.sent).len()
}

/// Judges all that came back on the case's connection; `ended` is whether the server ended it.
///
/// # Errors
/// What is not as it has to be.
pub fn judge(case: &Case, output: &[u8], ended: bool) -> Result<(), String> {
    let (found, at) = answers(case, output, ended)?;
    let statuses: Vec<u16> = found.iter().map(|answer| answer.status).collect();
    let wanted: Vec<u16> = case.answers.iter().map(|wanted| wanted.status).collect();
    if statuses != wanted {
        return Err(format!("statuses {statuses:?} instead of {wanted:?}"));
    }
    if at < output.len() {
        let rest = output[at..].escape_ascii();
        return Err(format!("behind the answers comes {rest}"));
    }
    for (answer, wanted) in found.iter().zip(&case.answers) {
        one(answer, wanted).map_err(|why| format!("{}: {why}", answer.status))?;
    }
    let ends = case.answers.last().is_some_and(|last| last.ends);
    match (ends, ended) {
        (true, false) => Err("the connection stays open".into()),
        (false, false) if case.finishes => {
            Err("the connection is not ended after its client's".into())
        }
        (false, true) if !case.finishes => Err("the connection is ended".into()),
        _ => Ok(()),
    }
}

fn one(answer: &Answer, wanted: &Wanted) -> Result<(), String> {
    let said = answer.values("Connection");
    let says_close = said.iter().any(|value| value.eq_ignore_ascii_case("close"));
    if says_close != wanted.ends {
        return Err(format!("Connection is {said:?}"));
    }
    for (name, value) in &wanted.with {
        match (answer.field(name), value) {
            (Some(found), Some(value)) if found != value => {
                return Err(format!("{name} is `{found}` instead of `{value}`"));
            }
            (Some(_), _) => {}
            (None, _) => {
                return Err(format!(
                    "{name} is there {} times",
                    answer.values(name).len()
                ));
            }
        }
    }
    if let Some(name) = wanted
        .without
        .iter()
        .find(|name| !answer.values(name).is_empty())
    {
        return Err(format!("{name} is there: {:?}", answer.values(name)));
    }
    if let Some(body) = wanted.body.as_ref().filter(|body| **body != answer.body) {
        let (found, body) = (answer.body.escape_ascii(), body.escape_ascii());
        return Err(format!("the content is `{found}` instead of `{body}`"));
    }
    let Some(problem) = &wanted.problem else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let is_problem = answer.field("Content-Type") == Some("application/problem+json");
    match is_problem && text.contains(&format!("\"type\":\"/-/problems/{problem}\"")) {
        true => Ok(()),
        false => Err(format!("it is not `{problem}` but {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::parse;

    const OK: &str = "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\nok";
    const BAD: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

    fn case(answers: &str) -> Case {
        let text = format!("case 1-a b\nsend GET / HTTP/1.1\\r\\n\\r\\n\n{answers}");
        parse(&text).expect("well written").remove(0)
    }

    #[test]
    fn each_thing_that_is_asked_for_can_be_missing() {
        for (answers, output, ended, is_right) in [
            (
                "answer 200 open\nwith A: b\nwithout B\nbody ok",
                OK,
                false,
                true,
            ),
            ("answer 200 open", OK, true, false),
            ("answer 200 close", OK, true, false),
            ("answer 201 open", OK, false, false),
            ("answer 200 open\nwith A: c", OK, false, false),
            ("answer 200 open\nwith C: *", OK, false, false),
            ("answer 200 open\nwithout A", OK, false, false),
            ("answer 200 open\nbody", OK, false, false),
            ("answer 200 open\ntype bad", OK, false, false),
            ("answer 400 close", BAD, true, true),
            ("answer 400 close", BAD, false, false),
            ("answer 400 open", BAD, false, false),
            ("answer 200 open\nanswer 200 open", OK, false, false),
            ("answer 200 open", &[OK, OK].concat(), false, false),
            ("answer 200 open", &[OK, "x"].concat(), false, false),
            ("answer 200 open", &OK[..30], false, false),
        ] {
            let case = case(answers);
            let judged = judge(&case, output.as_bytes(), ended);
            assert_eq!(
                judged.is_ok(),
                is_right,
                "{answers} {output} {ended}: {judged:?}"
            );
        }
    }
}
