//! The log over the network, to a server of the host.

use std::net::UdpSocket;
use std::time::Duration;
use tests::bed::Bed;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};

/// Longer than what comes at last takes to come.
const QUIET: Duration = Duration::from_secs(5);

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_server_has_the_log_and_each_request() {
    let bed = Bed::from_environment();
    let server = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = server.local_addr().expect("it is bound").port();
    let disk = blank_disk(&bed, "syslog", DISK_BYTES);
    let recipe = Recipe::on_disk(&disk);
    // The router of the bed's network is the host.
    let words = format!("syslog=10.0.2.2:{port} log.access=syslog hostname=shop");
    let recipe = Recipe {
        command_line: format!("{} {words}", recipe.command_line),
        ..recipe
    };
    let guest = Guest::serving(&bed, "syslog", &recipe);
    for nth in 0..200 {
        let target = format!("/kv/a/none-{nth}");
        assert_eq!(guest.request("GET", &target, b"").status, 404);
    }
    guest.shut_down(60);
    let lines = received(&server);
    let text = lines.join("\n");
    for line in &lines {
        assert!(
            line.starts_with('<') && line.contains(" shop lampion - "),
            "{line}"
        );
    }
    for said in [
        "store: ready",
        "http: ready at http://10.0.2.50/",
        "Poweroff now",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    // Nobody loses datagrams between the guest and the host, as long as few wait.
    for nth in 0..200 {
        let target = format!("\"GET /kv/a/none-{nth} HTTP/1.1\" 404 ");
        let is_it =
            |line: &&String| line.contains(" - access - 10.0.2.2 - - [") && line.contains(&target);
        assert_eq!(lines.iter().filter(is_it).count(), 1, "{target}\n{text}");
    }
    let console = guest.console();
    assert!(!console.contains("/kv/a/none-"), "{console}");
}

/// All that came, until nothing comes any more.
fn received(server: &UdpSocket) -> Vec<String> {
    let timeout = server.set_read_timeout(Some(QUIET));
    timeout.expect("it is a duration");
    let mut buffer = [0; 2_048];
    let mut lines = Vec::new();
    while let Ok(bytes) = server.recv(&mut buffer) {
        lines.push(String::from_utf8_lossy(&buffer[..bytes]).into_owned());
    }
    lines
}
