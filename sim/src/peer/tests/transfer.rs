//! Two peers through all weathers.

use super::network::{ADDRESSES, FAIR, Network, SERVER, Weather};
use crate::peer::{Flow, FlowState, Peer, Reads};
use crate::random::Random;

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Random::new(seed).fill(&mut bytes);
    bytes
}

/// The server's flow, once there is one, with data and FIN queued at once.
fn serve(server: &mut Peer, data: &[u8]) -> Option<Flow> {
    let flow = server.latest()?;
    server.send(flow, data);
    server.finish(flow);
    Some(flow)
}

fn check_transfer(seed: u64, weather: Weather, len: usize) {
    let mut network = Network::new(seed, weather);
    let mut random = Random::new(!seed);
    let (there, back) = (bytes(seed, len), bytes(seed + 1, len));
    let client = network.peers[0].connect(0, SERVER);
    let behaviour = network.peers[0].behaviour(client);
    behaviour.ack_delay_ns = random.below(2) * 40_000_000;
    behaviour.segment_max = 500 + random.below(2000) as usize;
    behaviour.mss = 500 + random.below(960) as u16;
    behaviour.window_max = 2000 + random.below(100_000) as u32;
    network.peers[0].send(client, &there);
    network.peers[0].finish(client);
    let mut server = None;
    let mut received = [Vec::new(), Vec::new()];
    while network.step() {
        server = server.or_else(|| serve(&mut network.peers[1], &back));
        received[0].extend(network.peers[0].received(client));
        received[1].extend(server.map_or(Vec::new(), |flow| network.peers[1].received(flow)));
    }
    let server = server.expect("the connection was accepted");
    let errors = [network.peers[0].errors(), network.peers[1].errors()];
    assert_eq!(errors, [&[] as &[String]; 2], "seed {seed}");
    let states = (
        network.peers[0].state(client),
        network.peers[1].state(server),
    );
    assert_eq!(
        states,
        (FlowState::Closed, FlowState::Closed),
        "seed {seed}"
    );
    assert!(received[1] == there && received[0] == back, "seed {seed}");
    assert_eq!(network.peers[0].unacknowledged(client), 0);
}

#[test]
fn a_fair_network_carries_both_ways() {
    check_transfer(0, FAIR, 1_000_000);
}

#[test]
fn a_foul_network_carries_both_ways() {
    for seed in 0..100 {
        let weather = Weather {
            lost: seed % 12,
            doubled: seed % 7,
            delay_max_ns: 1 + 3_000_000 * (seed % 4),
        };
        check_transfer(seed, weather, 200_000);
    }
}

#[test]
fn many_connections_do_not_disturb_each_other() {
    let weather = Weather {
        lost: 2,
        doubled: 2,
        delay_max_ns: 1_000_000,
    };
    let mut network = Network::new(77, weather);
    let flows: Vec<Flow> = (0..20)
        .map(|at| {
            let flow = network.peers[0].connect(0, SERVER);
            network.peers[0].send(flow, &bytes(at, 5000));
            network.peers[0].finish(flow);
            flow
        })
        .collect();
    network.settle();
    let server = &mut network.peers[1];
    let accepted: Vec<Flow> = server.flows.keys().copied().collect();
    let take = |flow: &Flow| server.received(*flow);
    let mut received: Vec<Vec<u8>> = accepted.iter().map(take).collect();
    let mut sent: Vec<Vec<u8>> = (0..20).map(|at| bytes(at, 5000)).collect();
    sent.sort();
    received.sort();
    assert!(sent == received);
    assert_eq!(server.errors(), [] as [String; 0]);
    for flow in flows {
        assert_eq!(network.peers[0].state(flow), FlowState::Open);
        assert_eq!(network.peers[0].unacknowledged(flow), 0);
    }
}

#[test]
fn one_seed_is_one_run() {
    let run = |seed| {
        let mut network = Network::new(seed, FAIR);
        let flow = network.peers[0].connect(0, SERVER);
        network.peers[0].send(flow, &bytes(1, 10_000));
        let frame = network.peers[0].transmit(0);
        network.settle();
        (frame, network.now_ns, network.peers[0].local(flow))
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

/// Until the server has a connection that stands.
fn established(network: &mut Network) -> (Flow, Flow) {
    let client = network.peers[0].connect(0, SERVER);
    while network.peers[0].state(client) == FlowState::Connecting {
        assert!(network.step());
    }
    network.settle();
    let server = network.peers[1].latest().expect("it was accepted");
    (client, server)
}

#[test]
fn a_reader_that_stops_stops_the_sender_and_may_go_on() {
    let mut network = Network::new(3, FAIR);
    let (client, server) = established(&mut network);
    network.peers[1].behaviour(server).reads = Reads::Never;
    network.peers[0].send(client, &bytes(3, 100_000));
    let resume_ns = network.now_ns + 600_000_000_000;
    while network.now_ns < resume_ns {
        assert!(network.step(), "a closed window is probed");
    }
    assert_eq!(network.peers[0].unacknowledged(client), 100_000 - 65535);
    assert_eq!(network.peers[0].state(client), FlowState::Open);
    network.peers[1].behaviour(server).reads = Reads::Always;
    network.settle();
    assert!(network.peers[1].received(server) == bytes(3, 100_000));
    assert_eq!(network.peers[1].errors(), [] as [String; 0]);
}

#[test]
fn a_reader_takes_when_it_likes() {
    let mut network = Network::new(4, FAIR);
    let (client, server) = established(&mut network);
    let behaviour = network.peers[1].behaviour(server);
    behaviour.reads = Reads::WhenTaken;
    network.peers[0].send(client, &bytes(4, 200_000));
    let mut received = Vec::new();
    while received.len() < 200_000 {
        let until_ns = network.now_ns + 1_000_000_000;
        while network.now_ns < until_ns && network.step() {}
        let taken = network.peers[1].received(server);
        assert!(!taken.is_empty() && taken.len() <= 65535 * 2);
        received.extend(taken);
    }
    assert!(received == bytes(4, 200_000));
}

#[test]
fn an_abort_resets_both_sides() {
    let mut network = Network::new(5, FAIR);
    let (client, server) = established(&mut network);
    network.peers[0].send(client, b"never said");
    network.peers[0].abort(client);
    network.settle();
    assert_eq!(network.peers[0].state(client), FlowState::Reset);
    assert_eq!(network.peers[1].state(server), FlowState::Reset);
}

#[test]
fn a_forgotten_flow_is_refused() {
    let mut network = Network::new(6, FAIR);
    let (client, server) = established(&mut network);
    network.peers[0].forget(client);
    network.peers[1].send(server, b"anybody?");
    network.settle();
    assert_eq!(network.peers[1].state(server), FlowState::Reset);
}

#[test]
fn pings_are_answered_once() {
    let weather = Weather {
        doubled: 100,
        ..FAIR
    };
    let mut network = Network::new(8, weather);
    for _ in 0..10 {
        network.peers[0].ping(0, ADDRESSES[1]);
    }
    network.settle();
    assert_eq!(network.peers[0].pongs(), 10);
    assert_eq!(network.peers[0].errors(), [] as [String; 0]);
}

#[test]
fn nobody_there_is_a_timeout() {
    let weather = Weather { lost: 100, ..FAIR };
    let mut network = Network::new(9, weather);
    let flow = network.peers[0].connect(0, SERVER);
    network.peers[0].ping(0, ADDRESSES[1]);
    network.settle();
    assert_eq!(network.peers[0].state(flow), FlowState::TimedOut);
    assert_eq!(network.now_ns / 1_000_000_000, 60);
}

#[test]
fn a_connection_that_falls_silent_times_out() {
    let mut network = Network::new(10, FAIR);
    let (client, _) = established(&mut network);
    network.weather.lost = 100;
    network.peers[0].send(client, b"hello?");
    network.settle();
    assert_eq!(network.peers[0].state(client), FlowState::TimedOut);
}
