//! The configuration: words of the command line, overridden by `vm-data/`.
//!
//! A bad value is a warning that names the key and says what to write instead;
//! the default stays in force. Nothing here can stop the appliance.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::str::FromStr;
use log::LevelFilter;
use net::{AddressConfig, Ipv4Cidr};
use service::SetError;
use store::FormatPermission;

/// Which disk the store lives on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DiskChoice {
    /// The first there is; memory if there is none.
    #[default]
    First,
    /// The one with this name, like `xvda`.
    Named(String),
    /// Memory only, on purpose.
    None,
}

/// All settings, with their defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `ip=`: an address; `None` is DHCP.
    pub address: Option<Ipv4Cidr>,
    /// `gw=`.
    pub gateway: Option<Ipv4Addr>,
    /// `hostname=`.
    pub hostname: String,
    /// `http.port=`; `None` is off.
    pub http_port: Option<u16>,
    /// `admin.port=`; `None` is off.
    pub admin_port: Option<u16>,
    /// `https.port=`; `None` is off.
    pub https_port: Option<u16>,
    /// `tls.cert=`, as PEM.
    pub tls_certificate: Option<String>,
    /// `tls.key=`, as PEM.
    pub tls_key: Option<String>,
    /// `disk=`.
    pub disk: DiskChoice,
    /// `disk.format=`.
    pub format: FormatPermission,
    /// `disk.unit=`.
    pub unit_bytes: Option<u32>,
    /// `watchdog=`, in seconds; `None` is off.
    pub watchdog_s: Option<u32>,
    /// `log.level=`.
    pub log_level: LevelFilter,
    /// `syslog=`; `None` is off.
    pub syslog: Option<SocketAddrV4>,
    /// What the service can be told.
    pub service: service::Config,
    /// Keys that were set, in order: the last one of a key is in force.
    pub sources: Vec<Given>,
}

/// A key that was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The key.
    pub key: String,
    /// Its value; of a secret, that it is set.
    pub value: String,
    /// Who has set it.
    pub source: Source,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The kernel command line.
    CommandLine,
    /// Xenstore, `vm-data/`.
    VmData,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            address: None,
            gateway: None,
            hostname: "lampion".to_owned(),
            http_port: Some(80),
            admin_port: Some(8081),
            https_port: Some(443),
            tls_certificate: None,
            tls_key: None,
            disk: DiskChoice::First,
            format: FormatPermission::BlankOnly,
            unit_bytes: None,
            watchdog_s: None,
            log_level: LevelFilter::Info,
            syslog: None,
            service: service::Config::default(),
            sources: Vec::new(),
        }
    }
}

/// Keys of later releases: known, so that nobody looks for a typing error.
const NOT_YET: [&str; 6] = [
    "dns",
    "ntp",
    "resp.port",
    "upstream",
    "upstream.auth",
    "upstream.tls",
];

impl Settings {
    /// Reads the command line; what is wrong is said by `warn`.
    pub fn from_command_line(line: &[u8], warn: &mut dyn FnMut(String)) -> Settings {
        let mut settings = Settings::default();
        let Ok(line) = core::str::from_utf8(line) else {
            warn("the command line is not UTF-8 and is ignored".to_owned());
            return settings;
        };
        for word in line.split_ascii_whitespace() {
            match word.split_once('=') {
                Some((key, value)) => settings.set(key, value, Source::CommandLine, warn),
                None => warn(format!("`{word}` is ignored: write key=value")),
            }
        }
        settings
    }

    /// Sets one key; what is wrong is said by `warn` and changes nothing.
    pub fn set(&mut self, key: &str, value: &str, source: Source, warn: &mut dyn FnMut(String)) {
        let result = match self.service.set(key, value) {
            Err(SetError::UnknownKey) => self.set_own(key, value),
            Ok(()) => Ok(()),
            Err(SetError::Value(error)) => Err(error.to_string()),
        };
        match result {
            Ok(()) => self.sources.push(Given {
                key: key.to_owned(),
                value: if is_secret(key) { "set" } else { value }.to_owned(),
                source,
            }),
            // The value is not repeated: it may be a secret in the wrong place.
            Err(advice) => warn(format!("`{key}=` is ignored: {advice}")),
        }
    }

    fn set_own(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "ip" if value == "dhcp" => self.address = None,
            "ip" => self.address = Some(cidr(value)?),
            "gw" => self.gateway = Some(parse(value, "an IPv4 address, like gw=10.0.0.1")?),
            "hostname" => self.hostname = hostname(value)?,
            "http.port" => self.http_port = port(value)?,
            "admin.port" => self.admin_port = port(value)?,
            "https.port" => self.https_port = port(value)?,
            "tls.cert" => self.tls_certificate = Some(value.to_owned()),
            "tls.key" => self.tls_key = Some(value.to_owned()),
            "disk" => self.disk = disk(value)?,
            "disk.format" => self.format = format_permission(value)?,
            "disk.unit" => self.unit_bytes = Some(unit(value)?),
            "watchdog" => self.watchdog_s = watchdog(value)?,
            "log.level" => {
                self.log_level = parse(value, "off, error, warn, info, debug or trace")?;
            }
            "syslog" => self.syslog = syslog(value)?,
            _ if NOT_YET.contains(&key) => {
                return Err("this release does not have it yet".to_owned());
            }
            _ => return Err("there is no such key; docs and README list them".to_owned()),
        }
        Ok(())
    }

    /// How the interface gets its address.
    pub fn address_config(&self) -> AddressConfig {
        match self.address {
            Some(address) => AddressConfig::Static {
                address,
                gateway: self.gateway,
            },
            None => AddressConfig::Dhcp,
        }
    }
}

/// Whether a key's value is for nobody's eyes.
fn is_secret(key: &str) -> bool {
    matches!(
        key,
        "auth.token" | "auth.read-token" | "tls.cert" | "tls.key"
    )
}

fn parse<T: FromStr>(value: &str, advice: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("write {advice}"))
}

fn cidr(value: &str) -> Result<Ipv4Cidr, String> {
    const ADVICE: &str = "write ip=dhcp or ip=ADDRESS/PREFIX, like ip=10.0.0.2/24";
    let (address, prefix) = value.split_once('/').ok_or(ADVICE)?;
    let address: Ipv4Addr = address.parse().map_err(|_| ADVICE)?;
    let prefix_len: u8 = prefix.parse().ok().filter(|len| *len <= 32).ok_or(ADVICE)?;
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return Err(format!("{address} is no host's address; {ADVICE}"));
    }
    Ok(Ipv4Cidr {
        address,
        prefix_len,
    })
}

fn hostname(value: &str) -> Result<String, String> {
    let label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let good = (1..=63).contains(&value.len())
        && value.bytes().all(label)
        && !value.starts_with('-')
        && !value.ends_with('-');
    if good {
        Ok(value.to_owned())
    } else {
        Err("write a name of 1 to 63 letters, digits and -".to_owned())
    }
}

fn port(value: &str) -> Result<Option<u16>, String> {
    match value.parse() {
        _ if value == "off" => Ok(None),
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err("write a port from 1 to 65535, or off".to_owned()),
    }
}

fn syslog(value: &str) -> Result<Option<SocketAddrV4>, String> {
    /// RFC 5426, 3.3.
    const PORT: u16 = 514;
    if value == "off" {
        return Ok(None);
    }
    let address = value
        .parse()
        .map(|address| SocketAddrV4::new(address, PORT));
    let to = value.parse().or(address).ok();
    let is_host = |to: &SocketAddrV4| net::is_unicast(*to.ip()) && to.port() != 0;
    to.filter(is_host).map(Some).ok_or_else(|| {
        "write syslog=ADDRESS or syslog=ADDRESS:PORT, like syslog=10.0.0.5 (UDP, port 514 if none \
         is said), or syslog=off"
            .to_owned()
    })
}

fn disk(value: &str) -> Result<DiskChoice, String> {
    match value {
        "none" => Ok(DiskChoice::None),
        _ if virtual_device(value).is_some() => Ok(DiskChoice::Named(value.to_owned())),
        _ => Err("write a disk as in xl.cfg, like disk=xvda, or disk=none".to_owned()),
    }
}

fn format_permission(value: &str) -> Result<FormatPermission, String> {
    if value == "yes" {
        return Ok(FormatPermission::Foreign);
    }
    let mut id = [0; 16];
    let digits = value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digits {
        return Err(
            "write disk.format=yes for a foreign disk, or the store's id as the console \
                    printed it (32 hex digits)"
                .to_owned(),
        );
    }
    for (byte, at) in id.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(&value[at..at + 2], 16).map_err(|error| error.to_string())?;
    }
    Ok(FormatPermission::StoreId(id))
}

fn unit(value: &str) -> Result<u32, String> {
    let bytes: Option<u32> = value.parse().ok();
    let good = |bytes: &u32| bytes.is_power_of_two() && (512..=4096).contains(bytes);
    bytes
        .filter(good)
        .ok_or_else(|| "write 512, 1024, 2048 or 4096".to_owned())
}

/// The number under `device/vbd/` of a disk named like `xvda` or `xvdaa`.
///
/// Source: `docs/man/xen-vbd-interface.7.pandoc`, Xen 4.17.
pub fn virtual_device(name: &str) -> Option<u32> {
    let letters = name.strip_prefix("xvd")?;
    let mut index: u32 = 0;
    if letters.is_empty() || letters.len() > 2 {
        return None;
    }
    for byte in letters.bytes() {
        if !byte.is_ascii_lowercase() {
            return None;
        }
        index = index * 26 + u32::from(byte - b'a') + 1;
    }
    let index = index - 1;
    Some(if index < 16 {
        202 << 8 | index << 4
    } else {
        1 << 28 | index << 8
    })
}

/// The name of a disk by its number, where it has one of ours.
pub fn disk_name(number: u32) -> String {
    let index = match number {
        _ if number >> 8 == 202 => number >> 4 & 15,
        _ if number >> 28 == 1 => number >> 8 & 0xf_ffff,
        _ => return format!("vbd {number}"),
    };
    let letter = |index: u32| char::from(b'a' + (index % 26) as u8);
    match index {
        0..26 => format!("xvd{}", letter(index)),
        26..702 => format!("xvd{}{}", letter(index / 26 - 1), letter(index)),
        _ => format!("vbd {number}"),
    }
}

/// The shortest time in which a guest that works is never taken for one that does not.
const WATCHDOG_S_MIN: u32 = 5;
const WATCHDOG_S_MAX: u32 = 86_400;

fn watchdog(value: &str) -> Result<Option<u32>, String> {
    if value == "off" {
        return Ok(None);
    }
    match value.parse() {
        Ok(seconds @ WATCHDOG_S_MIN..=WATCHDOG_S_MAX) => Ok(Some(seconds)),
        _ => Err(format!(
            "write {WATCHDOG_S_MIN} to {WATCHDOG_S_MAX} seconds, or off"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{DiskChoice, Settings, Source, disk_name, virtual_device};
    use alloc::string::String;
    use alloc::vec::Vec;

    fn parse(line: &str) -> (Settings, Vec<String>) {
        let mut warnings = Vec::new();
        let settings = Settings::from_command_line(line.as_bytes(), &mut |w| warnings.push(w));
        (settings, warnings)
    }

    #[test]
    fn a_good_line_warns_of_nothing() {
        let (settings, warnings) =
            parse("ip=10.0.2.50/24 gw=10.0.2.2 auth=open http.port=8080 disk=xvdb log.level=debug");
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(settings.http_port, Some(8080));
        assert_eq!(settings.admin_port, Some(8081));
        assert_eq!(settings.disk, DiskChoice::Named("xvdb".into()));
        assert_eq!(settings.sources.len(), 6);
        assert_eq!(settings.address.map(|a| a.prefix_len), Some(24));
    }

    #[test]
    fn each_port_is_set_and_turned_off() {
        let (settings, warnings) = parse("http.port=off admin.port=65535");
        assert_eq!(warnings, Vec::<String>::new());
        let ports = (settings.http_port, settings.admin_port);
        assert_eq!(ports, (None, Some(65535)));
        assert_eq!(parse("admin.port=off").0.admin_port, None);
    }

    #[test]
    fn a_syslog_server_is_an_address_and_a_port() {
        let of = |word| parse(word).0.syslog.map(|to| (to.ip().octets(), to.port()));
        assert_eq!(of("syslog=10.0.0.5"), Some(([10, 0, 0, 5], 514)));
        assert_eq!(of("syslog=10.0.0.5:5514"), Some(([10, 0, 0, 5], 5514)));
        assert_eq!(of("syslog=10.0.0.5 syslog=off"), None);
    }

    #[test]
    fn each_bad_word_is_named_and_changes_nothing() {
        let bad = [
            "ip=10.0.0.1",
            "ip=10.0.0.1/33",
            "ip=300.0.0.1/24",
            "ip=0.0.0.0/0",
            "ip=224.0.0.1/4",
            "gw=here",
            "http.port=0",
            "http.port=65536",
            "http.port=",
            "admin.port=0",
            "admin.port=on",
            "disk=sda",
            "disk=xvd",
            "disk.format=maybe",
            "disk.unit=513",
            "hostname=-x",
            "log.level=loud",
            "syslog=logs.example",
            "syslog=10.0.0.5:0",
            "syslog=224.0.0.1",
            "syslog=",
            "nosuch=1",
            "resp.port=6379",
            "auth=maybe",
            "auth.token=short",
        ];
        for word in bad {
            let (settings, warnings) = parse(word);
            let key = word.split('=').next().unwrap();
            assert_eq!(warnings.len(), 1, "{word}");
            assert!(warnings[0].contains(key), "{word}: {}", warnings[0]);
            assert!(settings.sources.is_empty(), "{word}");
        }
        assert_eq!(parse("quiet").1.len(), 1);
    }

    #[test]
    fn a_secret_is_never_repeated_in_a_warning() {
        let (_, warnings) = parse("auth.token=hunter2");
        assert!(!warnings[0].contains("hunter2"), "{}", warnings[0]);
    }

    #[test]
    fn vm_data_wins() {
        let (mut settings, _) = parse("http.port=8080");
        settings.set("http.port", "81", Source::VmData, &mut |_| ());
        assert_eq!(settings.http_port, Some(81));
    }

    #[test]
    fn any_bytes_are_survived() {
        let mut warnings = 0;
        Settings::from_command_line(&[0xff, b'=', 0xfe], &mut |_| warnings += 1);
        assert_eq!(warnings, 1);
    }

    #[test]
    fn disks_have_their_numbers() {
        for (name, number) in [("xvda", 51712), ("xvdb", 51728), ("xvdp", 51952)] {
            assert_eq!(virtual_device(name), Some(number));
            assert_eq!(disk_name(number), name);
        }
        for name in ["xvdq", "xvdz", "xvdaa", "xvdzz"] {
            assert_eq!(disk_name(virtual_device(name).unwrap()), name);
        }
        assert_eq!(virtual_device("hda"), None);
    }
}
