//! `https.port`: a certificate is made at first boot, kept over power cuts, and replaced.

use crate::suspend::ask_for_suspend;
use crate::until_ready;
use sim::domain::DOMID;
use sim::machine::World;
use sim::peer::{Flow, FlowState};
use sim::resume::Save;
use std::net::SocketAddrV4;
use tests::simulated::{
    Client, Cut, GUEST, GUEST_ADMIN, LIMIT_NS, Options, Outcome, Simulation, faults, request_at,
};
use tls::{Identity, Session, self_signed};
use tls_client::{HandshakeKind, TlsClient, TlsClients};

const DOOR: SocketAddrV4 = SocketAddrV4::new(*GUEST.ip(), 443);
const SECOND_NS: u64 = 1_000_000_000;
/// More than there is memory for by far, and as many as come at once.
const CROWD: usize = 120;
const WAVE: usize = 6;

/// A client in TLS on a flow.
struct Secure {
    flow: Flow,
    tls: TlsClient,
    heard: Vec<u8>,
}

impl Secure {
    fn connect(simulation: &mut Simulation) -> Secure {
        Secure::of(&TlsClients::default(), simulation)
    }

    /// One that has the tickets of others.
    fn of(clients: &TlsClients, simulation: &mut Simulation) -> Secure {
        let flow = simulation.world(|world| world.peer.connect(world.domain.now_ns, DOOR));
        Secure {
            flow,
            tls: clients.begin(),
            heard: Vec::new(),
        }
    }

    /// Moves what there is to move.
    fn step(&mut self, world: &mut World) {
        let received = world.peer.received(self.flow);
        self.tls.take(&received).expect("good records");
        self.heard.extend(self.tls.heard());
        let records = self.tls.records();
        if !records.is_empty() {
            world.peer.send(self.flow, &records);
        }
    }

    /// Begins, and goes as far as this before it stands still.
    fn stand_still(simulation: &mut Simulation, at: Still) -> Secure {
        let mut secure = Secure::connect(simulation);
        if at == Still::Hello {
            let mut record = vec![22, 3, 1, 0x3f, 0xff];
            record.resize(8_000, 1);
            simulation.world(|world| world.peer.send(secure.flow, &record));
            return secure;
        }
        let _ = simulation.run(SECOND_NS / 10, |world| {
            secure.step(world);
            secure.tls.kind().is_some()
        });
        if at == Still::Record {
            // All of a record but its last byte.
            secure.tls.say(&[b'x'; 16_384]);
            let mut records = secure.tls.records();
            records.pop();
            simulation.world(|world| world.peer.send(secure.flow, &records));
        }
        secure
    }

    /// Says it, and waits until what is heard ends so.
    fn ask(&mut self, simulation: &mut Simulation, request: &[u8], end: &[u8]) -> String {
        self.tls.say(request);
        let ran = simulation.run(LIMIT_NS, |world| {
            self.step(world);
            self.heard.ends_with(end)
        });
        assert_eq!(ran, Ok(()), "{}", simulation.console());
        String::from_utf8_lossy(&std::mem::take(&mut self.heard)).into_owned()
    }
}

/// Where one of a crowd stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Still {
    /// In the first thing it says.
    Hello,
    /// Behind its handshake.
    Established,
    /// In a record of the longest.
    Record,
}

fn metric(simulation: &mut Simulation, name: &str) -> u64 {
    let Outcome::Answer(answer) = request_at(simulation, GUEST, ("GET", "/metrics"), b"") else {
        panic!("no answer");
    };
    answer.metric(name)
}

/// The fingerprint that the console has said last.
fn fingerprint(simulation: &Simulation) -> String {
    let console = simulation.console();
    let last = console.rsplit_once("SHA-256 ");
    let (_, rest) = last.unwrap_or_else(|| panic!("no certificate: {console}"));
    rest.lines().next().unwrap_or_default().to_owned()
}

/// Begins, and waits for the port.
fn secure_guest(seed: u64) -> Simulation {
    let mut simulation = Simulation::begin(Options::new(seed));
    until_secure(&mut simulation);
    simulation
}

fn until_secure(simulation: &mut Simulation) {
    until_ready(simulation);
    let _ = simulation.run(1_000_000_000, |_| false);
    let console = simulation.console();
    assert!(
        console.contains("https: ready at https://10.0.2.50/"),
        "{console}"
    );
}

#[test]
fn values_are_put_and_got_in_tls_and_the_certificate_is_kept() {
    let mut simulation = secure_guest(1);
    let mut client = Secure::connect(&mut simulation);
    let value = vec![b'v'; 200_000];
    let head = b"PUT /kv/b/k HTTP/1.1\r\nHost: l\r\nContent-Length: 200000\r\n\r\n";
    let put = [&head[..], &value].concat();
    let answer = client.ask(&mut simulation, &put, b"\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let get = b"GET /kv/b/k HTTP/1.1\r\nHost: l\r\n\r\n";
    let end = [b'v'; 200_000];
    let answer = client.ask(&mut simulation, get, &end);
    assert!(answer.starts_with("HTTP/1.1 200"));
    assert!(
        answer.contains("Content-Length: 200000\r\n"),
        "no more than it"
    );
    let first = fingerprint(&simulation);
    simulation.restart(Cut::Power);
    until_secure(&mut simulation);
    let console = simulation.console();
    assert!(
        console.contains("the certificate that is kept"),
        "{console}"
    );
    assert_eq!(fingerprint(&simulation), first);
    assert_eq!(faults(&simulation), Vec::<String>::new());
}

#[test]
fn another_certificate_is_shown_without_a_restart() {
    let mut simulation = secure_guest(2);
    let mut before = Secure::connect(&mut simulation);
    let get = b"GET /healthz HTTP/1.1\r\nHost: l\r\n\r\n";
    before.ask(&mut simulation, get, b"\n");
    tls::random::seed([5; 32]);
    let pem = self_signed("shop.example", None, 1_790_000_000).expect("made");
    let text = [pem.certificate, pem.key].concat();
    let asked = ("PUT", "/-/admin/tls");
    let outcome = request_at(&mut simulation, GUEST_ADMIN, asked, text.as_bytes());
    let Outcome::Answer(answer) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(answer.status, 200, "{}", answer.text());
    let identity = Identity::of_pem(text.as_bytes(), text.as_bytes()).expect("taken");
    assert_eq!(fingerprint(&simulation), identity.fingerprint());
    // Who was connected goes on, and who comes is served.
    before.ask(&mut simulation, get, b"\n");
    Secure::connect(&mut simulation).ask(&mut simulation, get, b"\n");
    simulation.restart(Cut::Power);
    until_secure(&mut simulation);
    assert_eq!(fingerprint(&simulation), identity.fingerprint());
}

#[test]
fn what_is_no_tls_is_ended_and_counted() {
    let mut simulation = secure_guest(3);
    let mut client = simulation.world(|world| Client::connect_to(world, DOOR));
    simulation.world(|world| client.ask(world, "GET", "/healthz", b""));
    let mut outcome = None;
    let ran = simulation.run(LIMIT_NS, |world| {
        outcome = client.answer(world);
        outcome.is_some()
    });
    assert_eq!(ran, Ok(()));
    assert!(matches!(outcome, Some(Outcome::Lost(_))), "{outcome:?}");
    let outcome = request_at(&mut simulation, GUEST, ("GET", "/metrics"), b"");
    let Outcome::Answer(answer) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(answer.text().contains("lampion_tls_failures_total 1"));
}

#[test]
fn a_certificate_that_is_a_setting_is_shown_or_refused_with_a_sentence() {
    for (setting, expected) in [
        ("https.port=off", None),
        (
            "tls.cert=x tls.key=y",
            Some("tls: tls.cert and tls.key: the certificate is not PEM"),
        ),
        ("tls.cert=x", Some("tls: set both tls.cert and tls.key")),
    ] {
        let mut options = Options::new(4);
        options.command_line.push_str(&format!(" {setting}"));
        let mut simulation = Simulation::begin(options);
        until_ready(&mut simulation);
        let _ = simulation.run(1_000_000_000, |_| false);
        let console = simulation.console();
        assert!(!console.contains("https: ready"), "{console}");
        match expected {
            Some(sentence) => assert!(console.contains(sentence), "{console}"),
            None => assert!(!console.contains("tls:"), "{console}"),
        }
    }
}

#[test]
fn a_certificate_of_vm_data_is_shown_and_stays() {
    let mut simulation = Simulation::begin(Options::new(7));
    tls::random::seed([6; 32]);
    let pem = self_signed("set.example", None, 1_790_000_000).expect("made");
    simulation.world(|world| {
        for (key, value) in [("tls_cert", &pem.certificate), ("tls_key", &pem.key)] {
            let path = format!("/local/domain/{DOMID}/vm-data/{key}");
            world.domain.xenstored.write(&path, value.as_bytes());
        }
    });
    until_secure(&mut simulation);
    let identity = Identity::of_pem(pem.certificate.as_bytes(), pem.key.as_bytes());
    let shown = identity.expect("taken").fingerprint();
    assert_eq!(fingerprint(&simulation), shown);
    let get = b"GET /healthz HTTP/1.1\r\nHost: l\r\n\r\n";
    Secure::connect(&mut simulation).ask(&mut simulation, get, b"\n");
    let text = [pem.certificate, pem.key].concat();
    let asked = ("PUT", "/-/admin/tls");
    let outcome = request_at(&mut simulation, GUEST_ADMIN, asked, text.as_bytes());
    assert!(matches!(outcome, Outcome::Answer(answer) if answer.status == 409));
}

#[test]
fn a_crowd_in_tls_holds_what_was_set_aside_and_keeps_nobody_out() {
    for at in [Still::Hello, Still::Established, Still::Record] {
        let mut options = Options::new(5);
        options.ram_bytes = 12 << 20;
        let mut simulation = Simulation::begin(options);
        until_secure(&mut simulation);
        let most = metric(&mut simulation, "lampion_tls_connections_max");
        assert!((10..60).contains(&most), "{most}");
        let mut kept = Secure::connect(&mut simulation);
        let get = b"GET /healthz HTTP/1.1\r\nHost: l\r\n\r\n";
        kept.ask(&mut simulation, get, b"\n");
        let before = simulation.heap().used_bytes;
        let mut crowd = Vec::new();
        let mut held_bytes_max = 0;
        for wave in 0..CROWD / WAVE {
            for _ in 0..WAVE {
                crowd.push(Secure::stand_still(&mut simulation, at));
            }
            kept.ask(&mut simulation, get, b"\n");
            Secure::connect(&mut simulation).ask(&mut simulation, get, b"\n");
            let sessions = metric(&mut simulation, "lampion_tls_connections");
            assert!(
                sessions <= most,
                "{at:?}, wave {wave}: {sessions} of {most}"
            );
            held_bytes_max = held_bytes_max.max(simulation.heap().used_bytes - before);
        }
        println!("{at:?}: {most} sessions hold at most {held_bytes_max} bytes");
        // Sockets are beside it: twelve KiB and what they are made of.
        let place_bytes = (Session::BYTES_MAX + (14 << 10)) as u64;
        assert!(
            held_bytes_max <= most * place_bytes,
            "{at:?}: {held_bytes_max}"
        );
        assert!(metric(&mut simulation, "lampion_tls_connections") > most / 2);
        assert!(
            metric(&mut simulation, "lampion_tls_waits_total") > 0,
            "{at:?}"
        );
        assert_eq!(faults(&simulation), Vec::<String>::new());
    }
}

/// A handshake takes as long as many requests, so only a few are worked on between two looks at
/// all others, and each comes to its turn.
#[test]
fn handshakes_have_their_turns() {
    let mut options = Options::new(8);
    options.ram_bytes = 64 << 20;
    let mut simulation = Simulation::begin(options);
    until_secure(&mut simulation);
    let mut crowd: Vec<Secure> = (0..CROWD)
        .map(|_| Secure::connect(&mut simulation))
        .collect();
    // All are connected before any says anything.
    let _ = simulation.run(SECOND_NS, |_| false);
    let (mut answered, mut at_once_max) = (0, 0);
    let ran = simulation.run(LIMIT_NS, |world| {
        for client in &mut crowd {
            client.step(world);
        }
        let begun = crowd.iter().filter(|client| client.tls.kind().is_some());
        let before = std::mem::replace(&mut answered, begun.count());
        at_once_max = at_once_max.max(answered - before);
        answered == CROWD
    });
    assert_eq!(ran, Ok(()));
    println!("at most {at_once_max} of {CROWD} handshakes at once");
    assert!(at_once_max <= CROWD / 4, "{at_once_max} at once");
}

/// The domain goes on elsewhere, and this connection is ended with it.
fn goes_on_elsewhere(simulation: &mut Simulation, client: &Secure) {
    ask_for_suspend(simulation, Save::Moves(0));
    let ran = simulation.run(LIMIT_NS, |world| {
        world.peer.state(client.flow) == FlowState::Reset
    });
    assert_eq!(ran, Ok(()), "{}", simulation.console());
}

#[test]
fn no_session_outlives_the_domain_and_none_begins_without_randomness() {
    let mut options = Options::new(6);
    options.hosts_with_randomness = 2;
    let mut simulation = Simulation::begin(options);
    until_secure(&mut simulation);
    let get = b"GET /healthz HTTP/1.1\r\nHost: l\r\n\r\n";
    let clients = TlsClients::default();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut client = Secure::of(&clients, &mut simulation);
        client.ask(&mut simulation, get, b"\n");
        kinds.push(client.tls.kind());
    }
    let mut client = Secure::connect(&mut simulation);
    client.ask(&mut simulation, get, b"\n");
    goes_on_elsewhere(&mut simulation, &client);
    // The ticket was worth something before, and is worth nothing now.
    let mut client = Secure::of(&clients, &mut simulation);
    client.ask(&mut simulation, get, b"\n");
    kinds.push(client.tls.kind());
    let (full, resumed) = (HandshakeKind::Full, HandshakeKind::Resumed);
    assert_eq!(kinds, [full, resumed, full].map(Some));
    goes_on_elsewhere(&mut simulation, &client);
    let console = simulation.console();
    assert!(
        console.contains("so https.port is not served here"),
        "{console}"
    );
    let ready = "https: ready at";
    let told = console.matches(ready).count();
    let mut client = Secure::connect(&mut simulation);
    let ran = simulation.run(LIMIT_NS, |world| {
        client.step(world);
        world.peer.state(client.flow) == FlowState::Reset
    });
    assert_eq!(ran, Ok(()));
    let console = simulation.console();
    assert_eq!(console.matches(ready).count(), told, "{console}");
    assert_eq!(client.tls.kind(), None);
    let outcome = request_at(&mut simulation, GUEST, ("GET", "/healthz"), b"");
    assert!(matches!(outcome, Outcome::Answer(answer) if answer.status == 200));
    assert_eq!(faults(&simulation), Vec::<String>::new());
}
