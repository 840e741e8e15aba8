//! Segments in use whose header is gone: what their last life holds is told all the same.

use super::audit::Believed;
use super::finding::Kind;
use super::item::{Group, Item, Standing};
use super::look::{self, Look};
use super::salvage::Piece;
use super::verdict::Stop;
use crate::fetch::Unreadable;
use crate::format::checksum::Seeds;
use crate::format::group::Header;
use crate::format::superblock::Superblock;
use crate::scan::Scanner;
use alloc::format;
use alloc::vec::Vec;
use core::future::poll_fn;

impl Look {
    /// Tells them, and what is lost with them.
    pub(super) async fn judge_lost_segments(
        &mut self,
        superblock: &Superblock,
        believed: &Believed,
    ) -> Result<(), Stop> {
        let layout = superblock.layout;
        let seeds = Seeds::new(&superblock.store_id, superblock.checksum_seed);
        for number in 0..layout.segment_count {
            let start = layout.start(number);
            let told = believed.told.iter().find(|told| told.offset == start);
            let Some(told) = told.filter(|told| !self.found_at.contains(&told.offset)) else {
                continue;
            };
            let meaning = format!(
                "{} (segment {number}): its groups are not shown, and opening is read-only",
                told.what
            );
            self.find(start, Kind::Header, None, meaning);
            self.covered
                .push((start, start + u64::from(layout.header_bytes)));
            let range = (start + u64::from(layout.unit), layout.footer(number));
            self.lost_segment(seeds, range, u64::from(layout.unit))
                .await?;
        }
        Ok(())
    }

    async fn lost_segment(
        &mut self,
        seeds: Seeds,
        range: (u64, u64),
        unit: u64,
    ) -> Result<(), Stop> {
        let mut life = 0;
        for (header, _) in self.any_groups(seeds, range, unit, 0).await? {
            life = life.max(header.generation);
        }
        for (header, offset) in self.any_groups(seeds, range, unit, life).await? {
            self.show(&Item::Group(&Group::of(&header, offset, Standing::LeftOut)));
            let first = offset + header.header_len as u64;
            let end = offset + header.length as u64;
            if first < end {
                let bytes = self.read(first, end).await?;
                self.salvage_records(&Piece {
                    bytes: &bytes,
                    offset: first,
                    generation: header.generation,
                    seeds,
                });
            }
        }
        Ok(())
    }

    /// Intact groups in a range, of one life or (0) of any.
    async fn any_groups(
        &mut self,
        seeds: Seeds,
        (from, to): (u64, u64),
        unit: u64,
        life: u64,
    ) -> Result<Vec<(Header, u64)>, Stop> {
        let mut scanner = Scanner::new(to, Unreadable::Zeros);
        let mut groups = Vec::new();
        let mut at = from;
        while at < to {
            let fits = |header: &Header| life == 0 || header.generation == life;
            let found =
                poll_fn(|_| scanner.look(&mut self.disk.borrow_mut(), seeds, at, fits)).await;
            match found.map_err(look::stop)? {
                Some(header) => {
                    groups.push((header, at));
                    at += header.span.max(unit);
                }
                None => at += unit,
            }
        }
        Ok(groups)
    }
}
