//! What the hypervisor handed over at the entry, copied out before anything is allocated.
//!
//! All of it lies in guest memory that may be RAM we are about to use. It is
//! read through a function, so that a host test can hand in any bytes.
//!
//! Source: `xen/include/public/arch-x86/hvm/start_info.h`, Xen 4.17.

use core::fmt;
use core::mem::offset_of;
use xen::Xen;
use xen_sys::start_info::{
    HvmMemmapTableEntry, HvmStartInfo, START_INFO_V0_BYTES, XEN_HVM_MEMMAP_TYPE_RAM,
    XEN_HVM_START_MAGIC_VALUE,
};

/// Longest command line that is read.
pub const COMMAND_LINE_BYTES_MAX: usize = 4096;
/// Most ranges of the memory map that are read.
pub const RANGES_MAX: usize = 64;

/// A range of physical addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhysRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl PhysRange {
    /// Bytes in it.
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// What was handed over.
pub struct BootInfo {
    command_line: [u8; COMMAND_LINE_BYTES_MAX],
    command_line_len: usize,
    ram: [PhysRange; RANGES_MAX],
    ram_len: usize,
    /// Whether the start info had a memory map at all.
    pub has_memory_map: bool,
    /// Physical address of the ACPI root pointer, if there is one.
    pub rsdp: Option<u64>,
    /// Version of the start info structure.
    pub version: u32,
}

/// Why the start info cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// It lies where nothing can be read.
    Unreadable,
    /// It does not begin with the magic number: this is no PVH boot.
    BadMagic(u32),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::Unreadable => f.write_str("the start info cannot be read"),
            ParseError::BadMagic(magic) => write!(
                f,
                "not a PVH start info (magic {magic:#x}); boot with type=\"pvh\" in xl.cfg"
            ),
        }
    }
}

impl core::error::Error for ParseError {}

/// Reads physical memory; `false` when the range cannot be read.
pub type ReadPhys<'a> = &'a dyn Fn(u64, &mut [u8]) -> bool;

impl BootInfo {
    /// Reads the start info at `address` and all it points to.
    ///
    /// # Errors
    /// [`ParseError`].
    pub fn parse(read: ReadPhys<'_>, address: u64) -> Result<BootInfo, ParseError> {
        let mut bytes = [0u8; size_of::<HvmStartInfo>()];
        if !read(address, &mut bytes[..START_INFO_V0_BYTES]) {
            return Err(ParseError::Unreadable);
        }
        let magic = u32_at(&bytes, offset_of!(HvmStartInfo, magic));
        if magic != XEN_HVM_START_MAGIC_VALUE {
            return Err(ParseError::BadMagic(magic));
        }
        let version = u32_at(&bytes, offset_of!(HvmStartInfo, version));
        if version >= 1 && !read(address, &mut bytes) {
            return Err(ParseError::Unreadable);
        }
        let rsdp = u64_at(&bytes, offset_of!(HvmStartInfo, rsdp_paddr));
        let mut info = BootInfo {
            command_line: [0; COMMAND_LINE_BYTES_MAX],
            command_line_len: 0,
            ram: [PhysRange::default(); RANGES_MAX],
            ram_len: 0,
            has_memory_map: false,
            rsdp: (rsdp != 0).then_some(rsdp),
            version,
        };
        info.read_command_line(
            read,
            u64_at(&bytes, offset_of!(HvmStartInfo, cmdline_paddr)),
        );
        if version >= 1 {
            let entries = u32_at(&bytes, offset_of!(HvmStartInfo, memmap_entries));
            let table = u64_at(&bytes, offset_of!(HvmStartInfo, memmap_paddr));
            info.read_memory_map(read, table, entries);
        }
        Ok(info)
    }

    /// The command line, up to its first NUL.
    pub fn command_line(&self) -> &[u8] {
        &self.command_line[..self.command_line_len]
    }

    /// Usable RAM, as listed.
    pub fn ram(&self) -> &[PhysRange] {
        &self.ram[..self.ram_len]
    }

    /// Adds a range of RAM; what does not fit the table is not used.
    pub fn add_ram(&mut self, range: PhysRange) {
        if self.ram_len < RANGES_MAX && !range.is_empty() {
            self.ram[self.ram_len] = range;
            self.ram_len += 1;
        }
    }

    /// Asks the hypervisor for the RAM that a start info of version 0 does not list.
    ///
    /// # Panics
    /// When it does not say either: nothing can be done without memory.
    pub fn ask_for_ram(&mut self, xen: Xen) {
        let asked = xen.ram(|start, len| {
            self.add_ram(PhysRange {
                start,
                end: start.saturating_add(len),
            });
        });
        if let Err(error) = asked {
            panic!("neither the start info nor the hypervisor lists the RAM ({error})");
        }
    }

    fn read_command_line(&mut self, read: ReadPhys<'_>, address: u64) {
        if address == 0 {
            return;
        }
        for at in 0..COMMAND_LINE_BYTES_MAX {
            let byte = &mut self.command_line[at..=at];
            let Some(place) = address.checked_add(at as u64) else {
                break;
            };
            if !read(place, byte) || byte[0] == 0 {
                break;
            }
            self.command_line_len = at + 1;
        }
    }

    fn read_memory_map(&mut self, read: ReadPhys<'_>, table: u64, entries: u32) {
        let entry_bytes = size_of::<HvmMemmapTableEntry>();
        for index in 0..u64::from(entries.min(RANGES_MAX as u32)) {
            let mut entry = [0u8; size_of::<HvmMemmapTableEntry>()];
            let Some(place) = table.checked_add(index * entry_bytes as u64) else {
                break;
            };
            if !read(place, &mut entry) {
                break;
            }
            self.has_memory_map = true;
            let start = u64_at(&entry, offset_of!(HvmMemmapTableEntry, addr));
            let len = u64_at(&entry, offset_of!(HvmMemmapTableEntry, size));
            let kind = u32_at(&entry, offset_of!(HvmMemmapTableEntry, kind));
            if kind == XEN_HVM_MEMMAP_TYPE_RAM {
                self.add_ram(PhysRange {
                    start,
                    end: start.saturating_add(len),
                });
            }
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::{BootInfo, ParseError, PhysRange};
    use alloc::vec;
    use alloc::vec::Vec;

    const START: u64 = 0x1000;

    fn memory(version: u32, entries: u32) -> Vec<u8> {
        let mut bytes = vec![0u8; 0x4000];
        let mut put32 = |at: usize, value: u32| {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        };
        put32(0x1000, 0x336e_c578);
        put32(0x1004, version);
        put32(0x1018, 0x2000); // command line
        put32(0x1020, 0xfc00_0000); // rsdp
        put32(0x1028, 0x3000); // memory map
        put32(0x1030, entries);
        put32(0x3000, 0x10_0000);
        put32(0x3008, 0x50_0000);
        put32(0x3010, 1);
        put32(0x3018, 0xfeff_8000);
        put32(0x3020, 0x8000);
        put32(0x3028, 2);
        bytes[0x2000..0x2008].copy_from_slice(b"ip=dhcp\0");
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<BootInfo, ParseError> {
        let read = |address: u64, into: &mut [u8]| {
            let Some(from) = usize::try_from(address).ok().and_then(|at| bytes.get(at..)) else {
                return false;
            };
            from.get(..into.len())
                .map(|from| into.copy_from_slice(from))
                .is_some()
        };
        BootInfo::parse(&read, START)
    }

    #[test]
    fn version_1_gives_ram_and_command_line() {
        let info = parse(&memory(1, 2)).unwrap();
        assert_eq!(info.command_line(), b"ip=dhcp");
        assert_eq!(
            info.ram(),
            [PhysRange {
                start: 0x10_0000,
                end: 0x60_0000
            }]
        );
        assert_eq!(info.rsdp, Some(0xfc00_0000));
    }

    #[test]
    fn version_0_has_no_memory_map_and_says_so() {
        let info = parse(&memory(0, 2)).unwrap();
        assert!(!info.has_memory_map && info.ram().is_empty());
        assert_eq!(info.command_line(), b"ip=dhcp");
    }

    #[test]
    fn nonsense_is_refused_or_bounded() {
        let mut bytes = memory(1, u32::MAX);
        assert!(parse(&bytes).unwrap().ram().len() <= super::RANGES_MAX);
        bytes[0x1000] = 0;
        assert!(matches!(parse(&bytes), Err(ParseError::BadMagic(_))));
        assert!(matches!(parse(&[]), Err(ParseError::Unreadable)));
        let mut endless = memory(1, 1);
        endless[0x2000..].fill(b'x');
        assert_eq!(
            parse(&endless).unwrap().command_line().len(),
            super::COMMAND_LINE_BYTES_MAX
        );
    }
}
