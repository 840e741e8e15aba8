//! What a panic has to know of this appliance, and when that has changed.

use super::{Appliance, Phase};
use crate::flight::Recorder;
use drivers::Phase as DevicePhase;
use store::flight::Slot;

/// Of which place and which connections a recorder is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Armed {
    slot: Option<Slot>,
    vbd: u32,
    /// If it is connected.
    vif: Option<u32>,
}

impl Appliance {
    /// What writes a flight record if this guest dies, whenever that is another than when this
    /// was asked before; the one of before is of no use then.
    pub fn changed_recorder(&mut self) -> Option<Option<Recorder>> {
        let armed = self.armable();
        if armed == self.armed {
            return None;
        }
        self.armed = armed;
        Some(self.recorder())
    }

    fn armable(&self) -> Armed {
        let Phase::Serving(serving) = &self.phase else {
            return Armed::default();
        };
        let slot = serving.service.store().flight_slot();
        match (&serving.vbd, slot) {
            (Some(vbd), Some(_)) if vbd.borrow().phase() == DevicePhase::Connected => Armed {
                slot,
                vbd: vbd.borrow().connections(),
                vif: serving.vif.as_ref().and_then(|vif| {
                    let vif = vif.borrow();
                    (vif.phase() == DevicePhase::Connected).then(|| vif.connections())
                }),
            },
            _ => Armed::default(),
        }
    }

    fn recorder(&self) -> Option<Recorder> {
        let Phase::Serving(serving) = &self.phase else {
            return None;
        };
        let clock = &self.attachment.clock;
        let now_ns = self.attachment.timers.now_ns();
        let vif = serving.vif.as_ref();
        Some(Recorder {
            slot: self.armed.slot?,
            disk: serving
                .vbd
                .as_ref()?
                .borrow()
                .last_write(self.attachment.xen)?,
            network: vif.and_then(|vif| vif.borrow().last_rings()),
            clock: clock.last(),
            ahead_ns: now_ns.wrapping_sub(clock.system_ns(now_ns)),
            begun_ns: self.begun_ns.unwrap_or(now_ns),
            wall_ahead_ns: clock.wall_ns(now_ns).wrapping_sub(now_ns),
        })
    }
}
