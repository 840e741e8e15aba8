//! What happened, a line each: for whoever has to understand one seed.
//!
//! Nothing is written down unless somebody asked for it, so that a long run costs no memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Older lines than these are dropped.
const LINES_MAX: usize = 300_000;

/// A record of events; clones write into the same one.
#[derive(Clone, Debug, Default)]
pub struct Trace(Option<Arc<Mutex<VecDeque<String>>>>);

impl Trace {
    /// One that is kept.
    pub fn kept() -> Trace {
        Trace(Some(Arc::default()))
    }

    /// Writes down what happened at that time.
    pub fn note(&self, now_ns: u64, what: impl FnOnce() -> String) {
        let Some(lines) = &self.0 else { return };
        let (s, us) = (now_ns / 1_000_000_000, now_ns / 1_000 % 1_000_000);
        let line = format!("{s:5}.{us:06}  {}", what());
        // A run that panicked while it wrote has lost at most that line.
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// All of it, in order.
    pub fn lines(&self) -> Vec<String> {
        let Some(lines) = &self.0 else {
            return Vec::new();
        };
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kept_trace_writes_anything_down() {
        let nobodys = Trace::default();
        nobodys.note(1, || panic!("nobody asked"));
        assert!(nobodys.lines().is_empty());
        let kept = Trace::kept();
        kept.clone().note(1_500_000, || "a frame".to_owned());
        assert_eq!(kept.lines(), ["    0.001500  a frame"]);
    }

    #[test]
    fn a_long_trace_keeps_its_end() {
        let kept = Trace::kept();
        (0..LINES_MAX as u64 + 5).for_each(|at| kept.note(at, || format!("event {at}")));
        let lines = kept.lines();
        assert_eq!(lines.len(), LINES_MAX);
        assert!(lines[0].ends_with("event 5"));
    }
}
