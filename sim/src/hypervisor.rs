//! What Xen does for each hypercall the guest may make.
//!
//! Source: `xen/include/public/`, Xen 4.17.
#![expect(unsafe_code, reason = "hypercall arguments are pointers")]

use crate::arena::PAGE_BYTES;
use crate::domain::{DOMID, Domain, Ended};
use crate::event::PortKind;
use crate::grant::FRAMES_MAX;
use std::ptr::with_exposed_provenance_mut;
use xen_sys::errno::Errno;
use xen_sys::hypercall as op;
use xen_sys::{DOMID_SELF, event_channel, grant_table, hvm, memory, sched, vcpu, version};

/// How long the others run when the guest lets them.
const YIELD_NS: u64 = 50_000;
/// Xen's own limit.
const DOMID_FIRST_RESERVED: u16 = 0x7ff0;

type Outcome = Result<usize, Errno>;

impl Domain {
    /// One hypercall; the result is negative for an error.
    ///
    /// # Safety
    /// `args` must be what the ABI demands for `op`.
    pub(crate) unsafe fn call(&mut self, op: usize, args: [usize; 5]) -> isize {
        self.hypercalls += 1;
        let [command, argument, third, ..] = args;
        let command = command as u32;
        let number = self.hypercalls - 1;
        let refused = self.refuse.filter(|(nth, _)| *nth == number);
        let outcome = match op {
            _ if let Some((_, errno)) = refused => Err(errno),
            op::HYPERVISOR_XEN_VERSION if command == version::XENVER_VERSION => Ok(4 << 16 | 17),
            op::HYPERVISOR_SET_TIMER_OP => self.set_timer(args[0] as u64),
            // SAFETY: passed on from the caller.
            op::HYPERVISOR_MEMORY_OP => unsafe { self.memory_op(command, argument) },
            // SAFETY: passed on from the caller.
            op::HYPERVISOR_HVM_OP => unsafe { self.hvm_op(command, argument) },
            // SAFETY: passed on from the caller.
            op::HYPERVISOR_EVENT_CHANNEL_OP => unsafe { self.event_op(command, argument) },
            // SAFETY: passed on from the caller.
            op::HYPERVISOR_GRANT_TABLE_OP => unsafe { self.grant_op(command, argument) },
            // SAFETY: passed on from the caller.
            op::HYPERVISOR_VCPU_OP => unsafe { self.vcpu_op(command, third) },
            // SAFETY: passed on from the caller.
            op::HYPERVISOR_SCHED_OP => unsafe { self.sched_op(command, argument) },
            _ => Err(Errno::ENOSYS),
        };
        match outcome {
            Ok(value) => value as isize,
            Err(errno) => {
                let refused = format!("op {op} command {command}: {errno}");
                self.note(|| format!("hypervisor: refuses {refused}"));
                self.refused.push(refused);
                -(errno.0 as isize)
            }
        }
    }

    fn set_timer(&mut self, deadline_ns: u64) -> Outcome {
        let deadline_ns = (deadline_ns != 0).then_some(deadline_ns);
        self.timer_ns = deadline_ns.map(|deadline_ns| self.clock.unskewed(deadline_ns));
        Ok(0)
    }

    unsafe fn memory_op(&mut self, command: u32, argument: usize) -> Outcome {
        if command != memory::XENMEM_ADD_TO_PHYSMAP {
            return Err(Errno::ENOSYS);
        }
        // SAFETY: the argument is of the command's type, as the caller vouches.
        let add = unsafe { &*with_exposed_provenance_mut::<memory::XenAddToPhysmap>(argument) };
        if !self.arena.has(add.gpfn) {
            return Err(Errno::EINVAL);
        }
        match add.space {
            memory::XENMAPSPACE_SHARED_INFO if add.idx == 0 => {
                self.events.shared_info = Some(add.gpfn);
                self.arena.copy_in(add.gpfn, 0, &[0; PAGE_BYTES]);
                self.show_clocks();
                Ok(0)
            }
            memory::XENMAPSPACE_GRANT_TABLE if add.idx < FRAMES_MAX as u64 => {
                let place = &mut self.grants.frames[add.idx as usize];
                if place.is_some() {
                    return Err(Errno::EINVAL);
                }
                *place = Some(add.gpfn);
                let zeros = [0; PAGE_BYTES];
                self.arena.copy_in(add.gpfn, 0, &zeros);
                Ok(0)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    unsafe fn hvm_op(&mut self, command: u32, argument: usize) -> Outcome {
        match command {
            hvm::HVMOP_GET_PARAM | hvm::HVMOP_SET_PARAM => {
                // SAFETY: the argument is of the command's type, as the caller vouches.
                let param =
                    unsafe { &mut *with_exposed_provenance_mut::<hvm::XenHvmParam>(argument) };
                if command == hvm::HVMOP_SET_PARAM {
                    self.params.insert(param.index, param.value);
                    return Ok(0);
                }
                param.value = *self.params.get(&param.index).ok_or(Errno::EINVAL)?;
                Ok(0)
            }
            hvm::HVMOP_SET_EVTCHN_UPCALL_VECTOR => Ok(0),
            _ => Err(Errno::ENOSYS),
        }
    }

    unsafe fn event_op(&mut self, command: u32, argument: usize) -> Outcome {
        if command == event_channel::EVTCHNOP_ALLOC_UNBOUND {
            // SAFETY: the argument is of the command's type, as the caller vouches.
            let alloc = unsafe {
                &mut *with_exposed_provenance_mut::<event_channel::EvtchnAllocUnbound>(argument)
            };
            let ours = matches!(alloc.dom, DOMID_SELF | DOMID);
            if !ours || alloc.remote_dom >= DOMID_FIRST_RESERVED {
                return Err(Errno::EPERM);
            }
            let kind = PortKind::Interdomain(alloc.remote_dom);
            alloc.port = self.events.open(kind).ok_or(Errno::ENOSPC)?;
            return Ok(0);
        }
        if command == event_channel::EVTCHNOP_BIND_VIRQ {
            // SAFETY: the argument is of the command's type, as the caller vouches.
            let bind = unsafe {
                &mut *with_exposed_provenance_mut::<event_channel::EvtchnBindVirq>(argument)
            };
            if bind.vcpu != 0 {
                return Err(Errno::ENOENT);
            }
            let kind = PortKind::Virq(bind.virq);
            bind.port = self.events.open(kind).ok_or(Errno::ENOSPC)?;
            return Ok(0);
        }
        // SAFETY: the argument is of the command's type, as the caller vouches.
        let port =
            unsafe { &*with_exposed_provenance_mut::<event_channel::EvtchnPort>(argument) }.port;
        let known = match command {
            event_channel::EVTCHNOP_CLOSE => self.events.close(port),
            event_channel::EVTCHNOP_SEND => self.events.send(port),
            event_channel::EVTCHNOP_UNMASK => {
                self.events.unmask(&self.arena, port);
                true
            }
            _ => return Err(Errno::ENOSYS),
        };
        if known { Ok(0) } else { Err(Errno::EINVAL) }
    }

    unsafe fn grant_op(&mut self, command: u32, argument: usize) -> Outcome {
        match command {
            grant_table::GNTTABOP_SET_VERSION => {
                // SAFETY: the argument is of the command's type, as the caller vouches.
                let set = unsafe {
                    &*with_exposed_provenance_mut::<grant_table::GnttabSetVersion>(argument)
                };
                if set.version == 1 {
                    Ok(0)
                } else {
                    Err(Errno::EINVAL)
                }
            }
            grant_table::GNTTABOP_QUERY_SIZE => {
                // SAFETY: the argument is of the command's type, as the caller vouches.
                let query = unsafe {
                    &mut *with_exposed_provenance_mut::<grant_table::GnttabQuerySize>(argument)
                };
                query.nr_frames = 1;
                query.max_nr_frames = FRAMES_MAX as u32;
                query.status = 0;
                Ok(0)
            }
            _ => Err(Errno::ENOSYS),
        }
    }

    unsafe fn vcpu_op(&mut self, command: u32, argument: usize) -> Outcome {
        if command != vcpu::VCPUOP_GET_RUNSTATE_INFO {
            return Err(Errno::ENOSYS);
        }
        // SAFETY: the argument is of the command's type, as the caller vouches.
        let info = unsafe { &mut *with_exposed_provenance_mut::<vcpu::VcpuRunstateInfo>(argument) };
        info.time[vcpu::RUNSTATE_RUNNING] = self.now_ns;
        Ok(0)
    }

    unsafe fn sched_op(&mut self, command: u32, argument: usize) -> Outcome {
        if command == sched::SCHEDOP_YIELD {
            let now_ns = self.now_ns + YIELD_NS;
            self.advance_to(now_ns);
            self.has_yielded = true;
            return Ok(0);
        }
        if command == sched::SCHEDOP_WATCHDOG {
            // SAFETY: the argument is of the command's type, as the caller vouches.
            let watchdog =
                unsafe { &*with_exposed_provenance_mut::<sched::SchedWatchdog>(argument) };
            return self.set_watchdog(watchdog.id, watchdog.timeout);
        }
        if command != sched::SCHEDOP_SHUTDOWN {
            return Err(Errno::ENOSYS);
        }
        // SAFETY: the argument is of the command's type, as the caller vouches.
        let shutdown = unsafe { &*with_exposed_provenance_mut::<sched::SchedShutdown>(argument) };
        if shutdown.reason == sched::SHUTDOWN_SUSPEND {
            return self.suspend();
        }
        self.ended = Some(match shutdown.reason {
            sched::SHUTDOWN_POWEROFF => Ended::Poweroff,
            sched::SHUTDOWN_REBOOT => Ended::Reboot,
            _ => Ended::Crash,
        });
        Ok(0)
    }

    /// Xen's two for each domain; the first use gives a number (`xen/common/sched/core.c`).
    fn set_watchdog(&mut self, id: u32, timeout_s: u32) -> Outcome {
        if !self.has_watchdogs {
            return Err(Errno::ENOSYS);
        }
        let due_ns = self.now_ns + u64::from(timeout_s) * 1_000_000_000;
        let due = (timeout_s > 0).then_some(due_ns);
        if id == 0 {
            if timeout_s == 0 {
                return Err(Errno::EINVAL);
            }
            let free = self.watchdogs_ns.iter().position(Option::is_none);
            let free = free.ok_or(Errno::ENOSPC)?;
            self.watchdogs_ns[free] = due;
            return Ok(free + 1);
        }
        let watchdog = self.watchdogs_ns.get_mut(id as usize - 1);
        let watchdog = watchdog.ok_or(Errno::EINVAL)?;
        if watchdog.is_none() {
            return Err(Errno::EINVAL);
        }
        *watchdog = due;
        Ok(0)
    }
}
