//! A guest that dies as the image does: without memory, in the middle of anything.

use super::Simulation;
use kernel::flight::Draft;

impl Simulation {
    /// The guest dies with these words; the number of the record that it leaves, or why it leaves
    /// none. `None` if it has nowhere to leave one.
    pub fn die(&mut self, words: &str) -> Option<Result<u64, String>> {
        let recorder = self.recorder.take()?;
        let mut draft = Box::new(Draft::EMPTY);
        draft.push(words.as_bytes());
        draft.push(b"\n");
        let machine = self.machine;
        let tsc = || machine.with(|world| world.domain.tsc());
        let recorded = recorder.record(&mut draft, &tsc);
        Some(recorded.map_err(|error| error.to_string()))
    }
}
