//! Hypercalls with their arguments made safe, one function each.
//!
//! Every argument structure lives on our stack for the duration of the call
//! and is of the type the command takes: that is the whole safety argument.
#![expect(unsafe_code, reason = "hypercalls take pointers")]

use crate::Domid;
use crate::count::HypercallCounts;
use crate::page::Gfn;
use xen_sys::errno::Errno;
use xen_sys::hypercall::{self, Hypercall};
use xen_sys::{DOMID_SELF, event_channel, grant_table, hvm, memory, sched, vcpu, version};

const GRANT_TABLE: usize = hypercall::HYPERVISOR_GRANT_TABLE_OP;
const SET_TIMER: usize = hypercall::HYPERVISOR_SET_TIMER_OP;
const VCPU: usize = hypercall::HYPERVISOR_VCPU_OP;

/// The hypervisor: a copyable handle on the hypercall instruction.
#[derive(Clone, Copy)]
pub struct Xen {
    instruction: &'static dyn Hypercall,
    counts: &'static HypercallCounts,
}

/// How a domain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownReason {
    /// Normal end.
    Poweroff,
    /// Start again.
    Reboot,
    /// We cannot go on.
    Crash,
    /// We do not go on.
    Watchdog,
}

/// How a suspend ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspended {
    /// It did not come about: this is still the same domain.
    Cancelled,
    /// This is another domain, with the same memory.
    Resumed,
}

impl core::fmt::Debug for Xen {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Xen")
    }
}

impl Xen {
    /// A handle on `instruction`, counting what is called.
    pub fn new(instruction: &'static dyn Hypercall, counts: &'static HypercallCounts) -> Self {
        Xen {
            instruction,
            counts,
        }
    }

    /// How often each hypercall was made.
    pub fn counts(self) -> &'static HypercallCounts {
        self.counts
    }

    /// The instruction for one call of `op`, which is counted.
    fn calling(self, op: usize) -> &'static dyn Hypercall {
        self.counts.count(op);
        self.instruction
    }

    fn command<T>(self, op: usize, command: u32, argument: &mut T) -> Result<usize, Errno> {
        // SAFETY: private; each caller below pairs `command` with its own argument structure.
        unsafe { hypercall::command(self.calling(op), op, command, argument) }
    }

    /// The hypervisor's version as (major, minor).
    pub fn version(self) -> (u16, u16) {
        let null = core::ptr::null_mut::<u8>();
        let op = hypercall::HYPERVISOR_XEN_VERSION;
        // SAFETY: XENVER_version takes no argument.
        let result =
            unsafe { hypercall::command(self.calling(op), op, version::XENVER_VERSION, null) };
        let packed = result.unwrap_or(0);
        ((packed >> 16) as u16, packed as u16)
    }

    /// Puts one of Xen's pages at a guest frame of ours.
    pub(crate) fn add_to_physmap(self, space: u32, index: u64, gfn: Gfn) -> Result<(), Errno> {
        let mut argument = memory::XenAddToPhysmap {
            domid: DOMID_SELF,
            size: 0,
            space,
            idx: index,
            gpfn: gfn.0,
        };
        let op = hypercall::HYPERVISOR_MEMORY_OP;
        self.command(op, memory::XENMEM_ADD_TO_PHYSMAP, &mut argument)
            .map(drop)
    }

    /// The memory map, as ranges of RAM (address, bytes); QEMU's emulation has no such call.
    ///
    /// # Errors
    /// Xen's error.
    pub fn ram(self, mut each: impl FnMut(u64, u64)) -> Result<(), Errno> {
        let mut entries = [memory::E820Entry::default(); 64];
        let mut argument = memory::XenMemoryMap {
            nr_entries: entries.len() as u32,
            pad: 0,
            buffer: entries.as_mut_ptr().expose_provenance() as u64,
        };
        let op = hypercall::HYPERVISOR_MEMORY_OP;
        self.command(op, memory::XENMEM_MEMORY_MAP, &mut argument)?;
        for entry in entries.iter().take(argument.nr_entries as usize) {
            if entry.kind == memory::E820_RAM {
                each(entry.addr, entry.size);
            }
        }
        Ok(())
    }

    /// Reads an HVM parameter of ours.
    ///
    /// # Errors
    /// Xen's error, e.g. EINVAL for a facility that is not there.
    pub fn hvm_param(self, index: u32) -> Result<u64, Errno> {
        let mut argument = hvm::XenHvmParam {
            domid: DOMID_SELF,
            index,
            ..Default::default()
        };
        self.command(
            hypercall::HYPERVISOR_HVM_OP,
            hvm::HVMOP_GET_PARAM,
            &mut argument,
        )?;
        Ok(argument.value)
    }

    /// Sets an HVM parameter of ours.
    ///
    /// # Errors
    /// Xen's error.
    pub fn set_hvm_param(self, index: u32, value: u64) -> Result<(), Errno> {
        let mut argument = hvm::XenHvmParam {
            domid: DOMID_SELF,
            pad: 0,
            index,
            value,
        };
        let op = hypercall::HYPERVISOR_HVM_OP;
        self.command(op, hvm::HVMOP_SET_PARAM, &mut argument)
            .map(drop)
    }

    /// Has events of one vCPU delivered as `vector` through its local APIC.
    ///
    /// # Errors
    /// Xen's error; older hypervisors and QEMU before 8.2 have no such operation.
    pub fn set_upcall_vector(self, vcpu: u32, vector: u8) -> Result<(), Errno> {
        let mut argument = hvm::XenHvmEvtchnUpcallVector { vcpu, vector };
        let op = hypercall::HYPERVISOR_HVM_OP;
        self.command(op, hvm::HVMOP_SET_EVTCHN_UPCALL_VECTOR, &mut argument)
            .map(drop)
    }

    pub(crate) fn alloc_unbound(self, remote: Domid) -> Result<u32, Errno> {
        let mut argument = event_channel::EvtchnAllocUnbound {
            dom: DOMID_SELF,
            remote_dom: remote.0,
            port: 0,
        };
        let op = hypercall::HYPERVISOR_EVENT_CHANNEL_OP;
        self.command(op, event_channel::EVTCHNOP_ALLOC_UNBOUND, &mut argument)?;
        Ok(argument.port)
    }

    pub(crate) fn bind_virq(self, virq: u32, vcpu: u32) -> Result<u32, Errno> {
        let mut argument = event_channel::EvtchnBindVirq {
            virq,
            vcpu,
            port: 0,
        };
        let op = hypercall::HYPERVISOR_EVENT_CHANNEL_OP;
        self.command(op, event_channel::EVTCHNOP_BIND_VIRQ, &mut argument)?;
        Ok(argument.port)
    }

    fn port_operation(self, command: u32, port: u32) -> Result<(), Errno> {
        let mut argument = event_channel::EvtchnPort { port };
        let op = hypercall::HYPERVISOR_EVENT_CHANNEL_OP;
        self.command(op, command, &mut argument).map(drop)
    }

    pub(crate) fn close_port(self, port: u32) -> Result<(), Errno> {
        self.port_operation(event_channel::EVTCHNOP_CLOSE, port)
    }

    pub(crate) fn send(self, port: u32) -> Result<(), Errno> {
        self.port_operation(event_channel::EVTCHNOP_SEND, port)
    }

    pub(crate) fn unmask(self, port: u32) -> Result<(), Errno> {
        self.port_operation(event_channel::EVTCHNOP_UNMASK, port)
    }

    /// Frames the grant table may have.
    pub(crate) fn grant_frames_max(self) -> Result<u32, Errno> {
        let mut argument = grant_table::GnttabQuerySize {
            dom: DOMID_SELF,
            ..Default::default()
        };
        let command = grant_table::GNTTABOP_QUERY_SIZE;
        // SAFETY: one structure of the command's type.
        unsafe {
            hypercall::grant_table_op(self.calling(GRANT_TABLE), command, &raw mut argument, 1)
        }?;
        if argument.status == 0 {
            Ok(argument.max_nr_frames)
        } else {
            Err(Errno::EINVAL)
        }
    }

    /// Has version 1 entries; a hypervisor that knows nothing else may refuse the question.
    pub(crate) fn grant_version_1(self) -> Result<(), Errno> {
        let mut argument = grant_table::GnttabSetVersion { version: 1 };
        let command = grant_table::GNTTABOP_SET_VERSION;
        // SAFETY: one structure of the command's type.
        unsafe {
            hypercall::grant_table_op(self.calling(GRANT_TABLE), command, &raw mut argument, 1)
        }
        .map(drop)
    }

    /// Arms the one-shot timer at an absolute system time in ns; 0 disarms it.
    pub fn set_timer(self, deadline_ns: u64) {
        // Xen clamps what is too far and fires at once for the past: no error matters here.
        let _ = hypercall::set_timer_op(self.calling(SET_TIMER), deadline_ns);
    }

    /// Nanoseconds this vCPU has been running, by the hypervisor's account.
    pub fn vcpu_running_ns(self, vcpu: u32) -> Option<u64> {
        let mut argument = vcpu::VcpuRunstateInfo::default();
        let command = vcpu::VCPUOP_GET_RUNSTATE_INFO;
        // SAFETY: the structure is of the command's type.
        unsafe { hypercall::vcpu_op(self.calling(VCPU), command, vcpu, &raw mut argument) }.ok()?;
        Some(argument.time[vcpu::RUNSTATE_RUNNING])
    }

    /// Lets others run on this CPU: whoever waits by looking again and again does so between.
    pub fn yield_now(self) {
        let null = core::ptr::null_mut::<u8>();
        let op = hypercall::HYPERVISOR_SCHED_OP;
        // SAFETY: SCHEDOP_yield takes no argument.
        let _ = unsafe { hypercall::command(self.calling(op), op, sched::SCHEDOP_YIELD, null) };
    }

    /// Has the hypervisor end the domain when it is not told otherwise for so many seconds;
    /// `id` is 0 for the first time, and then what this has answered. No seconds end it.
    ///
    /// # Errors
    /// Xen's error; QEMU's emulation has no such operation.
    pub fn watchdog(self, id: u32, timeout_s: u32) -> Result<u32, Errno> {
        let mut argument = sched::SchedWatchdog {
            id,
            timeout: timeout_s,
        };
        let op = hypercall::HYPERVISOR_SCHED_OP;
        let result = self.command(op, sched::SCHEDOP_WATCHDOG, &mut argument)?;
        Ok(if id == 0 { result as u32 } else { id })
    }

    /// Ends the domain. Returns only if the hypervisor refuses.
    pub fn shutdown(self, reason: ShutdownReason) {
        let reason = match reason {
            ShutdownReason::Poweroff => sched::SHUTDOWN_POWEROFF,
            ShutdownReason::Reboot => sched::SHUTDOWN_REBOOT,
            ShutdownReason::Crash => sched::SHUTDOWN_CRASH,
            ShutdownReason::Watchdog => sched::SHUTDOWN_WATCHDOG,
        };
        let mut argument = sched::SchedShutdown { reason };
        let op = hypercall::HYPERVISOR_SCHED_OP;
        let _ = self.command(op, sched::SCHEDOP_SHUTDOWN, &mut argument);
    }

    /// Lets the toolstack save the domain; returns when it goes on, here or elsewhere.
    ///
    /// # Errors
    /// Xen's error; QEMU's emulation has no such operation.
    pub fn suspend(self) -> Result<Suspended, Errno> {
        let reason = sched::SHUTDOWN_SUSPEND;
        let mut argument = sched::SchedShutdown { reason };
        let op = hypercall::HYPERVISOR_SCHED_OP;
        match self.command(op, sched::SCHEDOP_SHUTDOWN, &mut argument)? {
            0 => Ok(Suspended::Resumed),
            _ => Ok(Suspended::Cancelled),
        }
    }
}
