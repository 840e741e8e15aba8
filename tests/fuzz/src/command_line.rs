//! What an operator writes: a command line, then keys and values of `vm-data/`.
//!
//! The input is parted at NULs: the command line, a key, its value, and so on.

use kernel::config::{Settings, Source};

const SECRET: &str = "0123456789abcdef-secret";

/// Reads all settings; what is wrong is told, and a secret never is.
pub(crate) fn run(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == 0);
    let mut warnings = Vec::new();
    let line = parts.next().unwrap_or_default();
    let mut settings = Settings::from_command_line(line, &mut |warning| warnings.push(warning));
    while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
        let (Ok(key), Ok(value)) = (str::from_utf8(key), str::from_utf8(value)) else {
            continue;
        };
        let told = warnings.len();
        let known = settings.sources.len();
        settings.set(key, value, Source::VmData, &mut |warning| {
            warnings.push(warning);
        });
        let (told, known) = (warnings.len() - told, settings.sources.len() - known);
        assert_eq!(told + known, 1, "each key is set or told");
    }
    // Whatever came before, this is how a secret in the wrong place is met.
    for key in ["auth.tokens", "ip", "hostname", "auth"] {
        settings.set(key, SECRET, Source::VmData, &mut |warning| {
            assert!(!warning.contains(SECRET), "{warning}");
        });
    }
    assert!(warnings.iter().all(|warning| !warning.is_empty()));
    settings.address_config();
}
