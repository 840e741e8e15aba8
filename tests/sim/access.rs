//! The access log on the console.

use crate::until_ready;
use tests::simulated::{Options, Simulation, request};

#[test]
fn the_console_tells_each_request_if_it_is_to() {
    for (word, is_told) in [("log.access=console", true), ("log.access=off", false)] {
        let options = Options::new(1);
        let mut simulation = Simulation::begin(Options {
            command_line: format!("{} {word}", options.command_line),
            ..options
        });
        until_ready(&mut simulation);
        request(&mut simulation, "GET", "/kv/a/none", b"");
        let _ = simulation.run(100_000_000, |_| false);
        let console = simulation.console();
        let line = "\"GET /kv/a/none HTTP/1.1\" 404 ";
        assert_eq!(console.contains(line), is_told, "{word}\n{console}");
    }
}
