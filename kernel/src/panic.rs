//! The last words: one parseable line, then the hypervisor is told that we crashed.
//!
//! `PANIC at FILE:LINE:COLUMN: MESSAGE; backtrace ADDRESS ADDRESS …` on the PV
//! console and on port 0xE9, without allocating, without waiting.

use crate::arch::cpu;
use crate::mem::IMAGE;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::logger;
use spin::Mutex;
use xen::console::LastWords;
use xen::{Attachment, ShutdownReason, Xen};

static LAST: Mutex<Option<(Xen, Option<LastWords>)>> = Mutex::new(None);
static DYING: AtomicBool = AtomicBool::new(false);

/// From now on a panic is seen on the console and by the toolstack.
pub(crate) fn remember(attachment: &Attachment) {
    let words = attachment
        .console
        .as_ref()
        .map(|console| console.last_words(attachment.xen));
    *LAST.lock() = Some((attachment.xen, words));
}

/// Says why, and ends the domain.
pub(crate) fn die(why: fmt::Arguments<'_>, at: Option<u64>, frame: u64) -> ! {
    if DYING.swap(true, Ordering::Relaxed) {
        cpu::halt();
    }
    let last = LAST.try_lock().and_then(|mut last| last.take());
    let (xen, console) = last.unzip();
    let mut out = Out(console.flatten());
    logger::drain_after_panic(&mut |bytes| out.bytes(bytes));
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
    if let Some(xen) = xen.or_else(crate::arch::hypervisor::detect_quietly) {
        xen.shutdown(ShutdownReason::Crash);
    }
    cpu::halt()
}

struct Out(Option<LastWords>);

impl Out {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            early(*byte);
        }
        if let Some(console) = &self.0 {
            console.write(bytes);
        }
    }
}

impl Write for Out {
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
