//! Words typed on the console by whoever may: the domain's owner.

use crate::lifecycle::End;
use alloc::vec::Vec;
use xen::console::Console;

const LINE_BYTES_MAX: usize = 128;
const HELP: &str = "console: poweroff, reboot, status or help";

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// An orderly end.
    End(End),
    /// A report of how things stand.
    Status,
}

/// The line being typed.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    line: Vec<u8>,
    overlong: bool,
}

impl Operator {
    /// Takes what was typed; the next whole command, if there is one.
    pub(crate) fn step(&mut self, console: &Console) -> Option<Command> {
        let mut byte = [0];
        while console.read(&mut byte) == 1 {
            if let Some(command) = self.take(byte[0]) {
                return Some(command);
            }
        }
        None
    }

    fn take(&mut self, byte: u8) -> Option<Command> {
        if !matches!(byte, b'\n' | b'\r') {
            if self.line.len() < LINE_BYTES_MAX {
                self.line.push(byte);
            } else {
                self.overlong = true;
            }
            return None;
        }
        let line = core::mem::take(&mut self.line);
        let overlong = core::mem::take(&mut self.overlong);
        match line.trim_ascii() {
            b"" => None,
            b"poweroff" | b"halt" if !overlong => Some(Command::End(End::Poweroff)),
            b"reboot" if !overlong => Some(Command::End(End::Reboot)),
            b"status" if !overlong => Some(Command::Status),
            _ => {
                log::info!("{HELP}");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, LINE_BYTES_MAX, Operator};
    use crate::lifecycle::End;

    fn typed(bytes: &[u8]) -> Option<Command> {
        let mut operator = Operator::default();
        bytes.iter().find_map(|byte| operator.take(*byte))
    }

    #[test]
    fn only_whole_known_lines_are_commands() {
        assert_eq!(typed(b"poweroff\n"), Some(Command::End(End::Poweroff)));
        assert_eq!(typed(b"\r\n  reboot \r"), Some(Command::End(End::Reboot)));
        assert_eq!(typed(b"status\n"), Some(Command::Status));
        assert_eq!(typed(b"poweroff"), None);
        assert_eq!(typed(b"powerofff\n"), None);
        assert_eq!(typed(&[b'x'; 10 * LINE_BYTES_MAX]), None);
        let mut long = [b' '; 2 * LINE_BYTES_MAX];
        long[..8].copy_from_slice(b"poweroff");
        long[2 * LINE_BYTES_MAX - 1] = b'\n';
        assert_eq!(typed(&long), None, "an overlong line is no command");
    }
}
