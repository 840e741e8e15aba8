//! Where a segment's log ends: torn, damaged or sealed, and its footer.

use super::audit::Believed;
use super::finding::Kind;
use super::item::{Cause, Footer, Gap, Group, Item, Standing};
use super::look::Look;
use super::segment::{Scope, Thread};
use super::verdict::Stop;
use crate::format::{group, segment};
use alloc::format;
use alloc::vec::Vec;

impl Look {
    /// Behind the last group.
    pub(super) async fn end_of_log(
        &mut self,
        scope: &Scope<'_>,
        believed: &Believed,
        thread: &Thread,
    ) -> Result<(), Stop> {
        let number = scope.plan.number;
        let (start, footer) = (scope.layout.start(number), scope.layout.footer(number));
        if let Some(segment) = self.report.segments.last_mut() {
            segment.used_bytes = thread.end - start;
        }
        let here = |offset: u64| offset == thread.end || (thread.end..footer).contains(&offset);
        let told: Vec<_> = believed
            .told
            .iter()
            .filter(|told| here(told.offset))
            .collect();
        let cause = match told.is_empty() {
            true => Cause::Unused,
            false => Cause::Damage,
        };
        if thread.end < footer {
            self.show(&Item::Gap(&Gap {
                offset_bytes: thread.end,
                len_bytes: footer - thread.end,
                cause,
            }));
        }
        for told in told {
            self.relay(told);
        }
        if cause == Cause::Damage && thread.end < footer {
            let range = (thread.end, footer);
            return self
                .salvage(scope.seeds, range, scope.plan.generation)
                .await;
        }
        if scope.plan.is_newest && thread.end < footer {
            return self.torn(scope, thread.end).await;
        }
        Ok(())
    }

    /// Whether the log ends in a group that a crash tore.
    async fn torn(&mut self, scope: &Scope<'_>, at: u64) -> Result<(), Stop> {
        let end = (at + 512).min(scope.layout.footer(scope.plan.number));
        let bytes = self.read(at, end).await?;
        let header = group::decode(&bytes, at, scope.seeds)
            .filter(|header| header.generation == scope.plan.generation);
        if let Some(header) = header {
            self.show(&Item::Group(&Group::of(&header, at, Standing::LeftOut)));
            let meaning = format!(
                "the log ends here, in a torn group of {} records; nothing says that it was acknowledged",
                header.record_count
            );
            self.note(at, meaning);
        }
        Ok(())
    }

    pub(super) async fn footer(
        &mut self,
        scope: &Scope<'_>,
        thread: &mut Thread,
    ) -> Result<(), Stop> {
        let plan = scope.plan;
        let offset = scope.layout.footer(plan.number);
        let bytes = self
            .read(offset, offset + u64::from(scope.layout.unit))
            .await?;
        let footer = segment::Footer::decode(&bytes, plan.number, scope.seeds)
            .filter(|footer| footer.generation == plan.generation);
        let wrong = plan.footer_is_torn || footer.is_none();
        let excused = wrong && plan.footer_is_excused;
        let counts = !(plan.is_newest || excused);
        self.show(&Item::Footer(&Footer {
            offset_bytes: offset,
            says: footer.map(|footer| (footer.generation, footer.end_offset)),
            summary_bytes: footer.map_or(0, |footer| u64::from(footer.summary_len)),
            counts,
        }));
        if let Some(footer) = footer.filter(|footer| counts && !wrong && footer.summary_len > 0) {
            self.summary(scope, &footer, thread).await?;
        }
        if counts {
            self.covered.push((offset, offset + 48));
        }
        if counts && wrong {
            let meaning = format!(
                "the footer of segment {} is damaged; the next segment's header says the same, and the next opening writes it again",
                plan.number
            );
            self.find(offset, Kind::Footer, None, meaning);
        } else if wrong && !plan.is_newest {
            let meaning = format!(
                "the footer of segment {} was torn by a crash; the next opening writes it again",
                plan.number
            );
            self.note(offset, meaning);
        }
        Ok(())
    }
}
