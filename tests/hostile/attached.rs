//! A guest with one device whose backend is ours, and lies when it is told to.

use std::thread;
use std::time::{Duration, Instant};
use tests::bed::Bed;
use tests::guest::{Guest, Recipe};

/// Longest wait for anything the program should see or do.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// The guest and the program; both end when it is dropped.
pub(crate) struct Attached {
    /// The guest.
    pub(crate) guest: Guest,
    /// Its device, as the console names it.
    pub(crate) path: &'static str,
    bed: Bed,
    name: String,
    /// How much of the console was there before the lie.
    before: usize,
}

/// What the program says of the pages that it holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pages {
    /// How many.
    pub(crate) held: u64,
    /// Those that hold something else than what they were stamped with.
    pub(crate) changed: u64,
    /// Those that showed bytes of somebody else when they were granted.
    pub(crate) foreign: u64,
    /// Those granted again while they were held.
    pub(crate) again: u64,
}

impl Attached {
    /// A guest on a hostile disk, with an ordinary network; `nodes` are the disk's.
    pub(crate) fn disk(bed: &Bed, name: &str, nodes: &str) -> Attached {
        let recipe = Recipe::default();
        Attached::create(bed, name, "device/vbd/51712", &recipe, nodes)
    }

    /// A guest on a hostile network, without a disk.
    pub(crate) fn network(bed: &Bed, name: &str) -> Attached {
        let recipe = Recipe {
            vifs: 0,
            ..Recipe::default()
        };
        let attached = Attached::create(bed, name, "device/vif/0", &recipe, "");
        attached.guest.wait_for_console("device/vif/0: connected");
        attached
    }

    fn create(bed: &Bed, name: &str, path: &'static str, recipe: &Recipe, nodes: &str) -> Attached {
        let recipe = Recipe {
            paused: true,
            ..recipe.clone()
        };
        let kind = path.split('/').nth(1).expect("a kind of device");
        let guest = Guest::create(bed, name, &recipe);
        bed.run(&format!("hostile attach {name} {kind} {nodes}"));
        guest.unpause();
        Attached {
            guest,
            path,
            bed: bed.clone(),
            name: name.into(),
            before: 0,
        }
    }

    /// Gives the program a command; what it says to it.
    pub(crate) fn tell(&self, command: &str) -> String {
        self.bed
            .run(&format!("hostile tell {} {command}", self.name))
    }

    /// All that the program has said.
    pub(crate) fn said(&self) -> String {
        self.bed.run(&format!("hostile said {}", self.name))
    }

    /// Waits until the program has said `words` more than `times` times.
    pub(crate) fn wait_until_said(&self, words: &str, times: usize) -> String {
        let begin = Instant::now();
        loop {
            let said = self.said();
            if said.matches(words).count() > times {
                return said;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "the program never said `{words}`:\n{said}\n{}",
                self.guest.console()
            );
            thread::sleep(PAUSE);
        }
    }

    /// Arms a lie, or tells it; the console is read from here on.
    pub(crate) fn lie(&mut self, name: &str) {
        self.mark();
        let answer = self.tell(&format!("lie {name}"));
        assert!(answer.contains(&format!("done: {name}")), "{answer}");
    }

    /// The console is read from here on.
    pub(crate) fn mark(&mut self) {
        self.before = self.guest.console().len();
    }

    /// The console's lines since then that are warnings or errors, without their times.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let console = self.guest.console().split_off(self.before);
        let after_time = |line: &str| Some(line.split_once("] ")?.1.to_owned());
        let lines = console.lines().filter_map(after_time);
        lines
            .filter(|line| line.starts_with("ERROR") || line.starts_with("WARN"))
            .collect()
    }

    /// The device is complained of once since the lie, in these words; nothing is said twice.
    pub(crate) fn assert_told_once(&self, words: &str) {
        let complaints = self.complaints();
        let of_device: Vec<_> = complaints
            .iter()
            .filter(|line| line.contains(self.path))
            .collect();
        assert!(
            of_device.len() == 1 && of_device[0].contains(words),
            "`{words}` of {} once: {complaints:#?}",
            self.path
        );
        for line in &complaints {
            let same = complaints.iter().filter(|other| *other == line).count();
            assert_eq!(same, 1, "{complaints:#?}");
        }
    }

    /// The first complaint of the device since the lie has these words.
    pub(crate) fn assert_told_first(&self, words: &str) {
        let complaints = self.complaints();
        let first = complaints.iter().find(|line| line.contains(self.path));
        assert!(
            first.is_some_and(|line| line.contains(words)),
            "`{words}` of {} first: {complaints:#?}",
            self.path
        );
    }

    /// Stamps the pages that the program holds.
    pub(crate) fn stamp(&self) {
        let answer = self.tell("stamp");
        assert!(answer.contains("done: stamped="), "{answer}");
    }

    /// What has become of the pages that the program holds.
    pub(crate) fn pages(&self) -> Pages {
        let answer = self.tell("check");
        let number = |key: &str| {
            let value = answer
                .split_whitespace()
                .find_map(|word| word.strip_prefix(key));
            let number = value.and_then(|value| value.parse().ok());
            number.unwrap_or_else(|| panic!("no {key} in: {answer}"))
        };
        Pages {
            held: number("held="),
            changed: number("changed="),
            foreign: number("foreign="),
            again: number("again="),
        }
    }

    /// Nobody has written into a page that the program holds, nothing of anybody else's was in
    /// one, and none was granted twice; how many there are.
    pub(crate) fn assert_pages_are_left_alone(&self) -> u64 {
        let pages = self.pages();
        let held = pages.held;
        let alone = Pages {
            held,
            changed: 0,
            foreign: 0,
            again: 0,
        };
        assert_eq!(pages, alone, "{}", self.said());
        assert!(held > 0, "no page is held, so nothing was watched");
        held
    }

    /// The guest ends in order and in time, and nothing is left of its domain.
    pub(crate) fn assert_ends(&self, seconds: u32) {
        self.guest.shut_down(seconds);
        assert_eq!(self.guest.state(), "gone poweroff");
        self.bed.run(&format!("hostile end {}", self.name));
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // A second panic would hide the first one.
        let name = &self.name;
        let _ = self
            .bed
            .ask(&format!("vm destroy {name}; hostile end {name}"));
    }
}
