//! Changes on their way to who watches, as they come.

use super::exchange::After;
use super::{Connection, Context, Phase, Turn};
use crate::watch::{Piece, Watch};
use alloc::boxed::Box;
use alloc::string::String;

/// Media type of Server-Sent Events.
const EVENT_STREAM: &[u8] = b"text/event-stream";
/// How long nothing is sent at most: proxies end what is silent for longer.
const SIGN_OF_LIFE_NS: u64 = 15_000_000_000;

/// Who watches, and what follows the end of that.
pub(super) struct Watching {
    watch: Watch,
    after: After,
    /// When to send something, whether there is news or not.
    silent_until_ns: u64,
}

impl Connection {
    /// Begins to tell.
    pub(super) fn watch(&mut self, cx: &mut Context<'_>, watch: Watch) -> Turn {
        let after = self.begin_stream(cx, EVENT_STREAM, &[]);
        if !self.exchange.wants_content() {
            return self.become_phase(Phase::Flush(after));
        }
        let beginning = watch.beginning();
        let watching = Watching {
            watch,
            after,
            silent_until_ns: 0,
        };
        self.tell(cx, Box::new(watching), beginning)
    }

    /// Tells what there is to tell; a draining service tells nothing more, and nobody who
    /// may not watch any more is told anything.
    pub(super) fn turn_watch(&mut self, cx: &mut Context<'_>, mut watching: Box<Watching>) -> Turn {
        if cx.service.is_draining() || !watching.watch.may_go_on(cx.service) {
            self.end_stream();
            self.exchange.close();
            return self.become_phase(Phase::Flush(self.exchange.after()));
        }
        if cx.transport.send_room() <= self.output.len_bytes() {
            self.phase = Phase::Watch(watching);
            return self.wait_for_room(cx);
        }
        match watching.watch.next(&cx.service.store) {
            Piece::Events(text) => self.tell(cx, watching, text),
            Piece::More => self.become_phase(Phase::Watch(watching)),
            Piece::Nothing if cx.is_past(watching.silent_until_ns) => {
                let text = watching.watch.sign_of_life();
                self.tell(cx, watching, text)
            }
            Piece::Nothing => {
                self.deadline_ns = watching.silent_until_ns;
                self.phase = Phase::Watch(watching);
                Turn::Change
            }
            Piece::Overflow(text) => {
                cx.service.counters.watch_overflows += 1;
                self.push_chunk(cx, text.into_bytes());
                self.end_stream();
                self.become_phase(Phase::Flush(watching.after))
            }
        }
    }

    fn tell(&mut self, cx: &mut Context<'_>, mut watching: Box<Watching>, text: String) -> Turn {
        watching.silent_until_ns = cx.after(SIGN_OF_LIFE_NS);
        self.push_chunk(cx, text.into_bytes());
        self.become_phase(Phase::Watch(watching))
    }
}
