//! `cargo xtask symbolize`: functions and lines for the addresses in a guest's last words.

use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection, SectionKind};

/// What `cargo xtask symbolize` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What the console said; without it, it is read from the standard input.
    console: Option<PathBuf>,
    /// The symbols of the image that said it; without it, those that were built last.
    #[arg(long)]
    symbols: Option<PathBuf>,
}

/// The last words of one guest (`kernel/src/panic.rs`).
#[derive(Debug, PartialEq, Eq)]
struct LastWords<'c> {
    why: &'c str,
    /// Where it panicked, as `FILE:LINE:COLUMN`; a fault has no such place.
    place: Option<&'c str>,
    /// Innermost first.
    addresses: Vec<u64>,
}

/// One function, and where in it.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    function: String,
    place: String,
}

/// Prints the last words in it, with functions and lines.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let console = match &arguments.console {
        Some(path) => fs::read(path).with_context(|| format!("reading {}", path.display()))?,
        None => {
            let mut console = Vec::new();
            io::stdin().read_to_end(&mut console)?;
            console
        }
    };
    let console = String::from_utf8_lossy(&console);
    let all: Vec<LastWords<'_>> = console.lines().filter_map(last_words).collect();
    ensure!(
        !all.is_empty(),
        "no line of it begins with PANIC: these are no last words of a guest"
    );
    let built = || crate::checkout().join("target/dist/lampion.debug");
    let path = arguments.symbols.clone().unwrap_or_else(built);
    let elf = read(&path)?;
    let symbols = Symbols::open(&elf).with_context(|| format!("reading {}", path.display()))?;
    for words in all {
        println!("{}", symbols.told(&words)?);
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| {
        format!(
            "reading {}: give the image's lampion.debug with --symbols, or run `cargo xtask build` in the sources it was built from",
            path.display()
        )
    })
}

/// Whether a place is in the line of another, which is told without where the sources were.
fn is_in(place: &str, wanted: &str) -> bool {
    let line = |place| str::rsplit_once(place, ':').map(|(line, _)| line);
    let lines = line(place).zip(line(wanted));
    lines.is_some_and(|(place, wanted)| place.ends_with(wanted))
}

/// The last words on a line of the console, which may have its own beginning.
fn last_words(line: &str) -> Option<LastWords<'_>> {
    let (_, words) = line.split_once("PANIC ")?;
    let (why, addresses) = words.rsplit_once("; backtrace")?;
    let addresses = addresses.split_ascii_whitespace();
    let addresses =
        addresses.map_while(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    let place = why.strip_prefix("at ");
    Some(LastWords {
        why,
        place: place.and_then(|place| place.split(": ").next()),
        addresses: addresses.collect(),
    })
}

/// Line tables, and where code lies: the tables tell of functions, too, that were left out.
struct Symbols<'e> {
    lines: addr2line::Context<EndianSlice<'e, LittleEndian>>,
    code: Vec<Range<u64>>,
}

impl<'e> Symbols<'e> {
    fn open(elf: &'e [u8]) -> Result<Symbols<'e>> {
        let file = object::File::parse(elf)?;
        let section = |id: SectionId| -> Result<EndianSlice<'e, LittleEndian>> {
            let section = file.section_by_name(id.name());
            let bytes = section.map_or(Ok(&[][..]), |section| section.data())?;
            Ok(EndianSlice::new(bytes, LittleEndian))
        };
        ensure!(
            !section(SectionId::DebugInfo)?.is_empty(),
            "there are no line tables in it: it is the image itself, or was stripped"
        );
        let code = file.sections();
        let code = code.filter(|section| section.kind() == SectionKind::Text);
        let code = code.map(|section| section.address()..section.address() + section.size());
        Ok(Symbols {
            lines: addr2line::Context::from_dwarf(Dwarf::load(section)?)?,
            code: code.collect(),
        })
    }

    /// The last words, a line for each function.
    fn told(&self, words: &LastWords<'_>) -> Result<String> {
        let mut told = format!("PANIC {}", words.why);
        let mut is_there = words.place.is_none();
        for (nth, address) in words.addresses.iter().enumerate() {
            // Behind a call is what comes next; where a fault happened is exact.
            let is_exact = words.place.is_none() && nth == 0;
            let frames = self.frames(address.saturating_sub(u64::from(!is_exact)))?;
            for Frame { function, place } in &frames {
                told += &format!("\n  {address:#x} {function}\n      at {place}");
                is_there |= words.place.is_some_and(|wanted| is_in(place, wanted));
            }
            if frames.is_empty() {
                told += &format!("\n  {address:#x} is in none of its functions");
            }
        }
        if !is_there {
            told += "\n  None of these is where it panicked: the symbols are those of another image, or it is not in the backtrace.";
        }
        Ok(told)
    }

    /// What was executed at an address: the innermost of functions that are inlined there first.
    fn frames(&self, address: u64) -> Result<Vec<Frame>> {
        let mut frames = Vec::new();
        if !self.code.iter().any(|code| code.contains(&address)) {
            return Ok(frames);
        }
        let mut found = self.lines.find_frames(address).skip_all_loads()?;
        while let Some(frame) = found.next()? {
            let function = match &frame.function {
                Some(name) => name.demangle()?.into_owned(),
                None => String::from("?"),
            };
            let place = frame.location.map_or_else(
                || String::from("?"),
                |place| {
                    let number = |number: Option<u32>| number.unwrap_or(0);
                    let file = place.file.unwrap_or("?");
                    format!("{file}:{}:{}", number(place.line), number(place.column))
                },
            );
            frames.push(Frame { function, place });
        }
        Ok(frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_found_on_a_console() {
        let line = "(d3) PANIC at store/src/draft.rs:7:3: a: b; backtrace 0x1 0x2a x 0x3";
        let words = last_words(line).expect("there are some");
        assert_eq!(words.place, Some("store/src/draft.rs:7:3"));
        assert_eq!(words.addresses, [1, 0x2a]);
        let fault = last_words("PANIC page fault at 0x10; backtrace 0x5").expect("these, too");
        assert_eq!((fault.place, &fault.addresses[..]), (None, &[5][..]));
        assert_eq!(last_words("PANIC without any"), None);
        assert_eq!(last_words("INFO kernel: ready"), None);
        assert!(is_in(
            "lampion/store/src/draft.rs:7:9",
            "store/src/draft.rs:7:3"
        ));
        assert!(!is_in(
            "lampion/store/src/draft.rs:8:3",
            "store/src/draft.rs:7:3"
        ));
    }

    /// This program is one whose addresses are known.
    #[test]
    fn an_address_is_told_by_its_function_and_line() {
        let program = std::env::current_exe().expect("a path");
        let elf = fs::read(program).expect("it is readable");
        let symbols = Symbols::open(&elf).expect("tests have line tables");
        let file = object::File::parse(&*elf).expect("an ELF");
        let all = object::Object::symbols(&file);
        let named = |symbol: &object::Symbol<'_, '_>| {
            let name = object::ObjectSymbol::name(symbol);
            name.is_ok_and(|name| name.contains("9symbolize10last_words"))
        };
        let known = all.into_iter().find(named).expect("it is a function");
        let address = object::ObjectSymbol::address(&known);
        let words = LastWords {
            why: "at nowhere",
            place: Some("nowhere"),
            addresses: vec![address + 1, 1],
        };
        let told = symbols.told(&words).expect("they are readable");
        let expected = [
            "symbolize::last_words",
            "xtask/src/symbolize.rs:",
            "0x1 is in none",
        ];
        assert!(expected.iter().all(|part| told.contains(part)), "{told}");
        assert!(told.contains("another image"), "{told}");
    }

    #[test]
    fn what_has_no_line_tables_is_refused() {
        assert!(Symbols::open(b"no ELF").is_err());
    }
}
