//! The last words: one parseable line, then the hypervisor is told that we crashed.
//!
//! `PANIC at FILE:LINE:COLUMN: MESSAGE; backtrace ADDRESS ADDRESS …` on the PV
//! console and on port 0xE9, without allocating, without waiting.

use crate::arch::{alarm, cpu};
use crate::mem::IMAGE;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::flight::{Draft, Recorder};
use kernel::logger;
use kernel::run::Appliance;
use spin::Mutex;
use xen::console::LastWords;
use xen::{Attachment, ShutdownReason, Xen};

static LAST: Mutex<Option<(Xen, Option<LastWords>)>> = Mutex::new(None);
static DYING: AtomicBool = AtomicBool::new(false);
static RECORDER: Mutex<Option<Recorder>> = Mutex::new(None);
static DRAFT: Mutex<Draft> = Mutex::new(Draft::EMPTY);

/// From now on a panic leaves its record where the appliance says now, or none.
pub(crate) fn follow(appliance: &mut Appliance) {
    if let Some(recorder) = appliance.changed_recorder() {
        *RECORDER.lock() = recorder;
    }
}

/// From now on a panic is seen on the console and by the toolstack.
pub(crate) fn remember(attachment: &Attachment) {
    let words = attachment
        .console
        .as_ref()
        .map(|console| console.last_words(attachment.xen));
    *LAST.lock() = Some((attachment.xen, words));
}

/// The loop does not turn any more: says where it is, and ends the domain.
pub(crate) fn stood_still(at: u64, frame: u64) -> ! {
    let Some(alarm::Standstill { still_ns, ran_ns }) = alarm::standstill() else {
        let why = format_args!("the main loop has not turned (watchdog=)");
        end(ShutdownReason::Watchdog, why, Some(at), frame);
    };
    let [still_ms, ran_ms] = [still_ns, ran_ns].map(|ns| ns / 1_000_000);
    let hint = match ran_ns < still_ns / 2 {
        true => ": the host was busy, or paused it",
        false => "",
    };
    let why = format_args!(
        "the main loop has not turned for {still_ms} ms (watchdog=), of which its vCPU ran \
         {ran_ms}{hint}"
    );
    end(ShutdownReason::Watchdog, why, Some(at), frame)
}

/// Says why, leaves a record of it, and ends the domain.
pub(crate) fn die(why: fmt::Arguments<'_>, at: Option<u64>, frame: u64) -> ! {
    end(ShutdownReason::Crash, why, at, frame)
}

fn end(reason: ShutdownReason, why: fmt::Arguments<'_>, at: Option<u64>, frame: u64) -> ! {
    // The alarm does not go off over the last words.
    cpu::interrupts_off();
    if DYING.swap(true, Ordering::Relaxed) {
        cpu::halt();
    }
    let last = LAST.try_lock().and_then(|mut last| last.take());
    let (xen, console) = last.unzip();
    let mut draft = DRAFT.try_lock();
    let mut out = Out {
        console: console.flatten(),
        draft: None,
    };
    logger::drain_after_panic(&mut |bytes| out.bytes(bytes));
    out.draft = draft.as_deref_mut();
    let _ = write!(out, "PANIC {why}; backtrace");
    if let Some(at) = at {
        let _ = write!(out, " {at:#x}");
    }
    let text = IMAGE.text();
    cpu::backtrace(frame, IMAGE.stack(), |address| {
        if text.contains(&address) {
            let _ = write!(out, " {address:#x}");
        }
    });
    let _ = out.write_str("\n");
    leave_record(out);
    if let Some(xen) = xen.or_else(crate::arch::hypervisor::detect_quietly) {
        xen.shutdown(reason);
        // The emulation knows no other reason than this one.
        xen.shutdown(ShutdownReason::Crash);
    }
    cpu::halt()
}

fn leave_record(mut out: Out<'_>) {
    let recorder = RECORDER.try_lock().and_then(|mut recorder| recorder.take());
    let draft = out.draft.take();
    let _ = match (recorder, draft) {
        (Some(recorder), Some(draft)) => match recorder.record(draft, &cpu::tsc) {
            Ok(number) => writeln!(out, "crash {number} is on the disk: see /-/admin/crash"),
            Err(error) => writeln!(out, "no flight record: {error}"),
        },
        _ => writeln!(out, "no flight record: there is no disk for it now"),
    };
}

struct Out<'d> {
    console: Option<LastWords>,
    draft: Option<&'d mut Draft>,
}

impl Out<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            early(*byte);
        }
        if let Some(console) = &self.console {
            console.write(bytes);
        }
        if let Some(draft) = &mut self.draft {
            draft.push(bytes);
        }
    }
}

impl Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

/// A byte to the hypervisor's debug port: the output before there is a console.
pub(crate) fn early(byte: u8) {
    const DEBUG_PORT: u16 = 0xe9;
    cpu::outb(DEBUG_PORT, byte);
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let message = info.message();
    let frame = cpu::frame_pointer();
    match info.location() {
        Some(place) => die(format_args!("at {place}: {message}"), None, frame),
        None => die(format_args!("at ?: {message}"), None, frame),
    }
}
