//! A site is pushed again and again, and the power cut in the middle: it is one push or the other.

use crate::until_ready;
use tests::data::Random;
use tests::http::Answer;
use tests::simulated::{
    Client, Cut, GUEST_ADMIN, LIMIT_NS, Options, Outcome, Simulation, faults, request, request_at,
};

const MS: u64 = 1_000_000;
/// So many pushes of each seed.
const PUSHES: u64 = 6;
/// Longest time that a push has before the cut: longer than some take.
const CUT_NS_MAX: u64 = 3 * MS;
/// Pages of a push beside the first; there are more or fewer each time.
const PAGES_MAX: u64 = 40;

fn pages(push: u64) -> u64 {
    1 + push * 7 % PAGES_MAX
}

/// The page of this number, as this push has it.
fn page(push: u64, page: u64) -> Vec<u8> {
    let len = if page == 0 { 100_000 } else { 400 };
    Random::new(push << 32 | page).bytes(len)
}

fn tar(push: u64) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let home = push.to_string().into_bytes();
    let pages = (0..pages(push)).map(|nth| (nth.to_string(), page(push, nth)));
    for (name, content) in pages.chain([("index.html".to_owned(), home)]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        let appended = builder.append_data(&mut header, name, &content[..]);
        appended.expect("in memory");
    }
    builder.into_inner().expect("in memory")
}

fn get(simulation: &mut Simulation, target: &str) -> Answer {
    answered(request(simulation, "GET", target, b""), target)
}

fn answered(outcome: Outcome, target: &str) -> Answer {
    match outcome {
        Outcome::Answer(answer) => answer,
        Outcome::Lost(why) => panic!("{target}: {why}"),
    }
}

/// Which push is shown: all of it, and nothing of another.
fn shown(simulation: &mut Simulation) -> u64 {
    let push: u64 = get(simulation, "/").text().parse().expect("a push");
    for nth in 0..pages(push) {
        let target = format!("/{nth}");
        assert!(
            get(simulation, &target).body == page(push, nth),
            "{push}: {nth}"
        );
    }
    let next = format!("/{}", pages(push));
    assert_eq!(get(simulation, &next).status, 404, "{push}");
    push
}

/// What is left of pushes in the bucket: pages of so many are there that can be shown.
fn assert_nothing_is_left_over(simulation: &mut Simulation) {
    let _ = simulation.run(2_000 * MS, |_| false);
    let target = "/-/admin/site";
    let said = request_at(simulation, GUEST_ADMIN, ("GET", target), b"");
    let said = answered(said, target).text();
    assert!(
        !said.contains("filling") && !said.contains("gone"),
        "{said}"
    );
    let files = said.split("\"files\":").skip(1);
    let files = files.map(|rest| rest.split(',').next().and_then(|count| count.parse().ok()));
    let files: u64 = files
        .map(|count: Option<u64>| count.expect("a number"))
        .sum();
    let keys = get(simulation, "/-/keys/www?prefix=.site/&limit=1000").text();
    assert_eq!(
        keys.matches("\"key\"").count() as u64,
        files,
        "{said}\n{keys}"
    );
}

/// Pushes, and cuts the power after that time; whether it was acknowledged before.
fn push_and_cut(simulation: &mut Simulation, push: u64, after_ns: u64) -> bool {
    let mut client = simulation.world(|world| Client::connect_to(world, GUEST_ADMIN));
    let body = tar(push);
    simulation.world(|world| client.ask(world, "PUT", "/-/admin/site", &body));
    let mut outcome = None;
    let _ = simulation.run(after_ns.min(LIMIT_NS), |world| {
        outcome = client.answer(world);
        outcome.is_some()
    });
    let acknowledged = match outcome {
        None => false,
        Some(Outcome::Answer(answer)) => {
            assert_eq!(answer.status, 201, "{}", answer.text());
            true
        }
        Some(Outcome::Lost(why)) => panic!("{why}"),
    };
    simulation.restart(Cut::Power);
    until_ready(simulation);
    acknowledged
}

#[test]
fn a_power_cut_leaves_one_push_or_the_other() {
    let (mut acknowledged_count, mut cut_count) = (0, 0);
    for seed in 1..=16 {
        let mut random = Random::new(seed);
        let mut simulation = Simulation::begin(Options::new(seed));
        until_ready(&mut simulation);
        let mut last = 1;
        assert!(push_and_cut(&mut simulation, last, LIMIT_NS));
        for push in 2..=PUSHES {
            let after_ns = random.below(CUT_NS_MAX);
            let acknowledged = push_and_cut(&mut simulation, push, after_ns);
            let shown = shown(&mut simulation);
            assert!(
                shown == push || !acknowledged && shown == last,
                "{seed}: {shown} of {push}"
            );
            acknowledged_count += u32::from(acknowledged);
            cut_count += u32::from(shown == last);
            last = shown;
            assert_nothing_is_left_over(&mut simulation);
        }
        assert_eq!(faults(&simulation), [""; 0]);
    }
    // Else the cuts come too early or too late to show anything.
    assert!(
        acknowledged_count >= 5 && cut_count >= 5,
        "{acknowledged_count} {cut_count}"
    );
}
