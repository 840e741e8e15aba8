//! The cases of RFC 9110, 9111 and 9112, asked of the image over its network.

use ::conformance::{self, Case, Door, Wanted};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use tests::bed::Bed;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};
use tests::http::TIMEOUT;

/// What shows that a connection is good for more, and that nothing else was on its way.
const ONE_MORE: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn all_cases_hold() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "rfc", DISK_BYTES);
    let guest = Guest::serving(&bed, "rfc", &Recipe::on_disk(&disk));
    let mut wrong = Vec::new();
    for case in conformance::cases()
        .into_iter()
        .filter(|case| !case.is_silence())
    {
        empty(&guest);
        let judged = prepare(&guest, &case).and_then(|()| ask(&guest, &case));
        if let Err(why) = judged {
            wrong.push(format!("{}: {}\n    {why}", case.id, case.sentence));
        }
    }
    let all = wrong.join("\n");
    assert!(wrong.is_empty(), "{} do not hold:\n{all}", wrong.len());
    let console = guest.console();
    assert!(!console.contains("PANIC"), "{console}");
}

fn address(guest: &Guest, door: Door) -> &str {
    match door {
        Door::Users => guest.address(),
        Door::Admin => guest.admin_address(),
    }
}

/// Every case begins with an empty store.
fn empty(guest: &Guest) {
    for (list, member) in [("buckets", "keys"), ("snapshots", "seq")] {
        let listed = guest
            .ask_admin("GET", &format!("/-/admin/{list}"), b"")
            .text();
        assert!(listed.starts_with(&format!("{{\"{list}\":[")), "{listed}");
        for object in listed.split("{\"name\":\"").skip(1) {
            let (name, rest) = object.split_once('"').expect("a name");
            assert!(rest.contains(member), "{listed}");
            if name.starts_with('!') {
                // A backup's own: it goes when the store has seen that its reader is gone.
                continue;
            }
            let target = format!("/-/admin/{list}/{name}");
            let gone = guest.ask_admin("DELETE", &target, b"").status;
            assert!(matches!(gone, 204 | 404), "{target}: {gone}");
            if list == "buckets" && !rest.contains("\"quota_bytes\":null,\"quota_keys\":null") {
                let none = b"{\"quota_bytes\":null,\"quota_keys\":null}";
                assert_eq!(guest.ask_admin("PUT", &target, none).status, 200);
            }
        }
    }
}

/// Does what there has to be before a case.
fn prepare(guest: &Guest, case: &Case) -> Result<(), String> {
    for (door, request) in &case.given {
        let given = Case {
            sent: request.clone(),
            finishes: false,
            answers: vec![Wanted::default()],
            ..case.clone()
        };
        let (output, _) = exchange(address(guest, *door), &given)?;
        let (answer, _) = conformance::read(&output, true, false)?.ok_or("no answer")?;
        if !(200..300).contains(&answer.status) {
            return Err(format!("what has to be before it is {}", answer.status));
        }
    }
    Ok(())
}

/// Asks, and asks once more on the same connection if that can be.
fn ask(guest: &Guest, case: &Case) -> Result<(), String> {
    let mut case = case.clone();
    if conformance::is_at_rest(&case) {
        case.sent.extend_from_slice(ONE_MORE);
        case.answers.push(Wanted {
            status: 200,
            ..Wanted::default()
        });
    }
    let (output, ended) = exchange(address(guest, case.door), &case)?;
    conformance::judge(&case, &output, ended)
}

/// Sends, and reads all answers that are wanted, to the end if they end the connection; what came,
/// and whether it ended.
fn exchange(address: &str, case: &Case) -> Result<(Vec<u8>, bool), String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let mut writer = stream.try_clone().map_err(failed)?;
    // A server that has refused may take no more.
    let _ = writer.write_all(&case.sent);
    if case.finishes {
        let _ = writer.shutdown(Shutdown::Write);
    }
    let ends = case.finishes || case.answers.last().is_some_and(|last| last.ends);
    let mut output = Vec::new();
    let mut piece = [0; 16_384];
    while ends || !conformance::is_complete(case, &output) {
        match stream.read(&mut piece) {
            Ok(0) => return Ok((output, true)),
            Ok(count) => output.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok((output, true)),
            Err(error) => {
                let output = output.escape_ascii();
                return Err(format!("after `{output}`: {error}"));
            }
        }
    }
    Ok((output, false))
}
