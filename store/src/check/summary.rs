//! Summaries: each lists exactly what the groups of its segment hold, or it is a finding.

use super::finding::Kind;
use super::look::Look;
use super::segment::{Scope, Thread};
use super::verdict::Stop;
use crate::format::segment;
use crate::format::summary::{self, HEAD_BYTES, Head, Opened};
use crate::summary::Summary;
use alloc::format;

impl Look {
    /// Holds the summary that a footer tells of against what was found in the groups.
    pub(super) async fn summary(
        &mut self,
        scope: &Scope<'_>,
        footer: &segment::Footer,
        thread: &mut Thread,
    ) -> Result<(), Stop> {
        let (number, len) = (scope.plan.number, u64::from(footer.summary_len));
        let offset = summary::offset(&scope.layout, number, footer.summary_span);
        let fits =
            footer.summary_len as usize >= HEAD_BYTES && footer.summary_len <= footer.summary_span;
        let Some(offset) = offset.filter(|_| fits) else {
            let footer_at = scope.layout.footer(number);
            let meaning =
                format!("the footer of segment {number} tells of a summary that cannot be");
            self.find(footer_at, Kind::Summary, None, meaning);
            return Ok(());
        };
        let bytes = self.read(offset, offset + len).await?;
        let place = (footer.generation, offset);
        let opened = summary::open(&bytes, scope.seeds, place);
        self.covered.push((offset, offset + len));
        let head = match opened {
            // Opening reads the groups, which were looked at.
            Opened::Older => return Ok(()),
            Opened::Intact(head) if head.chain == footer.chain => Some(head),
            Opened::Intact(_) | Opened::Damaged => None,
        };
        let Some(head) = head else {
            self.damaged_summary(scope, offset);
            return Ok(());
        };
        let listed = thread.summary.take().and_then(|gathered| {
            gathered.encode(
                of_segment(&head),
                &scope.plan.extents,
                |_| place,
                scope.seeds,
            )
        });
        if listed.as_ref() != Some(&bytes) {
            let meaning = format!(
                "the summary of segment {number} lists something else than its groups hold: opening shows what it lists"
            );
            self.find(offset, Kind::Summary, None, meaning);
        }
        Ok(())
    }

    /// It was flushed with the footer and the next segment's first group, or not at all.
    fn damaged_summary(&mut self, scope: &Scope<'_>, offset: u64) {
        let number = scope.plan.number;
        let costs = "opening reads the groups instead, and nothing is lost";
        if scope.plan.footer_is_excused {
            let meaning = format!("the summary of segment {number} was torn by a crash; {costs}");
            self.note(offset, meaning);
        } else {
            let meaning = format!("the summary of segment {number} is damaged; {costs}");
            self.find(offset, Kind::Summary, None, meaning);
        }
    }
}

/// A segment that nothing was gathered of.
pub(super) fn nothing_of(start: u64) -> Option<Summary> {
    Some(Summary::new(start, u64::MAX))
}

/// What a head says of its segment as a whole, without the counts.
fn of_segment(head: &Head) -> Head {
    Head {
        chain: head.chain,
        next_seq: head.next_seq,
        epoch: head.epoch,
        ..Head::default()
    }
}
