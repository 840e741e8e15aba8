//! One life of a guest: its weather, its troubles, and how it ends.

use super::failure::Failure;
use crate::simulated::{LIMIT_NS, Simulation};
use sim::clock::TscRate;
use sim::disk::Flush;
use sim::machine::World;
use sim::random::Random;

const MS: u64 = 1_000_000;
const SECOND_NS: u64 = 1_000 * MS;
/// On a network that loses nothing every request is answered within this time.
const ANSWER_NS_MAX: u64 = 5 * SECOND_NS;
/// 2026-01-01.
const WALL_S: u32 = 1_767_225_600;

/// What a seed's disk is like, through all lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// It forgets what was not flushed, and nothing else.
    Honest,
    /// Its flushes do nothing.
    LyingFlush,
    /// It offers none.
    NoFlush,
    /// It fails, forgets, misplaces and rots, rarely.
    Rotten,
}

impl Nature {
    pub(super) fn draw(random: &mut Random) -> Nature {
        match random.below(16) {
            0 => Nature::LyingFlush,
            1 => Nature::NoFlush,
            2 => Nature::Rotten,
            _ => Nature::Honest,
        }
    }
}

/// What goes wrong in a life, besides its weather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Nothing,
    /// The network's backend goes and comes back.
    Outages,
    /// Writes and flushes fail.
    FailingDisk,
    /// The disk's backend goes and comes back.
    DiskLeaves,
    /// Clocks are set, the TSC's rate changes, the vCPU does not run for a while.
    Clocks,
}

/// One life.
#[derive(Debug)]
pub(super) struct Life {
    nature: Nature,
    trouble: Trouble,
    loss: u64,
    delay_max_ns: u64,
    slow_ns: u64,
    /// How many of a million unflushed sectors a power cut makes unreadable.
    torn: u32,
    /// The backend that is away comes back then.
    away_until_ns: Option<u64>,
    /// How long nobody ran, in all.
    pub(super) stalled_ns: u64,
}

impl Life {
    pub(super) fn draw(random: &mut Random, nature: Nature) -> Life {
        let trouble = match random.below(10) {
            0 | 1 => Trouble::Outages,
            2 => Trouble::FailingDisk,
            3 => Trouble::DiskLeaves,
            4 | 5 => Trouble::Clocks,
            _ => Trouble::Nothing,
        };
        Life {
            trouble,
            loss: [0, 0, 20_000][random.below(3) as usize],
            delay_max_ns: [0, 100_000, 3_000_000][random.below(3) as usize],
            slow_ns: [0, 300_000, 5_000_000][random.below(3) as usize],
            torn: [0, 0, 100_000][random.below(3) as usize],
            ..Life::calm(nature)
        }
    }

    /// One in which nothing happens.
    pub(super) fn calm(nature: Nature) -> Life {
        Life {
            nature,
            trouble: Trouble::Nothing,
            loss: 0,
            delay_max_ns: 0,
            slow_ns: 0,
            torn: 0,
            away_until_ns: None,
            stalled_ns: 0,
        }
    }

    /// Whether a request may be answered with an error of the server's.
    pub(super) fn may_fail(&self) -> bool {
        self.nature != Nature::Honest
            || matches!(self.trouble, Trouble::FailingDisk | Trouble::DiskLeaves)
    }

    /// Whether the network is away for longer than a request may take to arrive.
    pub(super) fn has_outages(&self) -> bool {
        self.trouble == Trouble::Outages
    }

    /// Whether a frame may be lost on its way.
    pub(super) fn loses_frames(&self) -> bool {
        self.loss > 0
    }

    /// Whether nothing comes or goes in it, so that what a guest holds stays the same.
    pub(super) fn is_calm(&self) -> bool {
        self.nature == Nature::Honest && matches!(self.trouble, Trouble::Nothing | Trouble::Clocks)
    }

    /// How long an answer may take.
    pub(super) fn answer_ns_max(&self) -> u64 {
        if self.loses_frames() || self.has_outages() || self.trouble == Trouble::DiskLeaves {
            2 * LIMIT_NS
        } else {
            ANSWER_NS_MAX
        }
    }

    /// What there is from the life's first moment on.
    pub(super) fn begin(&self, world: &mut World) {
        world.domain.note(|| format!("a life begins: {self:?}"));
        world.wire.weather.loss = self.loss;
        world.wire.weather.twice = self.loss / 2;
        world.wire.weather.delay_max_ns = self.delay_max_ns;
        let Some((_, disk)) = &mut world.vbd else {
            return;
        };
        let faults = disk.faults();
        *faults = sim::disk::Faults::default();
        faults.slow.max_ns = self.slow_ns;
        faults.unreadable_at_crash = self.torn;
        match self.nature {
            Nature::Honest => {}
            Nature::LyingFlush => faults.flush = Flush::Lies,
            Nature::NoFlush => faults.flush = Flush::NotOffered,
            Nature::Rotten => {
                faults.read_error = 5_000;
                faults.lost_write = 1_000;
                faults.misdirected_write = 1_000;
                faults.misdirected_read = 1_000;
                faults.corrupt_write = 2_000;
                faults.latent_error = 1_000;
                faults.flush_error = 5_000;
                faults.forgetful_flush_error = 500_000;
            }
        }
    }

    /// The trouble begins once the guest serves.
    pub(super) fn worsen(&self, world: &mut World) {
        if let Some((_, disk)) = &mut world.vbd
            && self.trouble == Trouble::FailingDisk
        {
            let faults = disk.faults();
            faults.write_error = 2_000;
            faults.flush_error = 20_000;
        }
    }

    /// Between two steps: what happens now and then.
    pub(super) fn step(
        &mut self,
        simulation: &mut Simulation,
        random: &mut Random,
    ) -> Result<(), Failure> {
        let now_ns = simulation.world(|world| world.domain.now_ns);
        match self.trouble {
            Trouble::Nothing | Trouble::FailingDisk => {}
            Trouble::Outages => self.step_outages(simulation, random, now_ns),
            Trouble::DiskLeaves => self.step_disk(simulation, random, now_ns),
            Trouble::Clocks if random.chance(1, 300) => self.step_clocks(simulation, random),
            Trouble::Clocks => {}
        }
        Ok(())
    }

    fn step_outages(&mut self, simulation: &Simulation, random: &mut Random, now_ns: u64) {
        simulation.world(|world| {
            let Some(vif) = &mut world.vif else { return };
            match self.away_until_ns {
                Some(until_ns) if now_ns >= until_ns => {
                    self.away_until_ns = None;
                    vif.restart(&mut world.domain);
                }
                Some(_) => {}
                None if random.chance(1, 600) => {
                    let away_ns = [MS, 200 * MS, 4 * SECOND_NS][random.below(3) as usize];
                    self.away_until_ns = Some(now_ns + away_ns);
                    vif.leave(&mut world.domain);
                }
                None => {}
            }
        });
    }

    fn step_disk(&mut self, simulation: &Simulation, random: &mut Random, now_ns: u64) {
        simulation.world(|world| {
            let Some((vbd, disk)) = &mut world.vbd else {
                return;
            };
            match self.away_until_ns {
                Some(until_ns) if now_ns >= until_ns => {
                    self.away_until_ns = None;
                    vbd.restart(&mut world.domain);
                }
                Some(_) => {}
                None if random.chance(1, 800) => {
                    let away_ns = [MS, 200 * MS, 12 * SECOND_NS][random.below(3) as usize];
                    self.away_until_ns = Some(now_ns + away_ns);
                    match self.nature {
                        Nature::Honest => vbd.die(&mut world.domain, disk),
                        // What it takes with it would have been durable.
                        _ => vbd.leave(&mut world.domain),
                    }
                }
                None => {}
            }
        });
    }

    fn step_clocks(&mut self, simulation: &Simulation, random: &mut Random) {
        simulation.world(|world| match random.below(4) {
            0 => {
                let rates = [TscRate::One, TscRate::Two, TscRate::Four];
                world.domain.set_tsc_rate(rates[random.below(3) as usize]);
            }
            1 => {
                let a_year_s = 365 * 24 * 3600;
                world
                    .domain
                    .set_wall(WALL_S - a_year_s + random.below(2 * u64::from(a_year_s)) as u32);
            }
            _ => {
                let stall_ns = [20 * MS, SECOND_NS, 5 * SECOND_NS][random.below(3) as usize];
                self.stalled_ns += stall_ns;
                stall(world, stall_ns);
            }
        });
    }

    /// The last moment: who was away comes back, so that the guest can be looked at.
    pub(super) fn mend(&mut self, world: &mut World) {
        if self.away_until_ns.take().is_none() {
            return;
        }
        match (self.trouble, &mut world.vif, &mut world.vbd) {
            (Trouble::DiskLeaves, _, Some((vbd, _))) => vbd.restart(&mut world.domain),
            (_, Some(vif), _) => vif.restart(&mut world.domain),
            _ => {}
        }
    }
}

/// The vCPU does not run for so long; everybody else does.
fn stall(world: &mut World, stall_ns: u64) {
    world
        .domain
        .note(|| format!("the vCPU does not run for {stall_ns} ns"));
    let end_ns = world.domain.now_ns + stall_ns;
    while world.domain.now_ns < end_ns {
        let next_ns = world.deadline_ns().unwrap_or(end_ns);
        // The guest's own timer stays due, and nobody serves it.
        let next_ns = next_ns.max(world.domain.now_ns + MS).min(end_ns);
        world.domain.advance_to(next_ns);
        world.step();
    }
}
