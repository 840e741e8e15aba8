//! The network handshake: what is read, what is published, in which state.

use super::rx::Receiver;
use super::tx::Transmitter;
use super::{Link, LinkInfo, Pages, Ports};
use crate::fault::BackendFault;
use crate::resources::{Handles, OwnedPort};
use crate::session::{Connect, ConnectError, Established};
use alloc::boxed::Box;
use alloc::string::String;
use xen::grant::GrantAccess;
use xen::ring::{FrontRing, NetRx, NetTx, Protocol};
use xen::task::Task;
use xen::xenbus::{Frontend, XenbusState};

const MTU_DEFAULT_BYTES: u16 = 1500;
/// The smallest MTU IPv4 allows, and what fits a page with its Ethernet header.
const MTU_RANGE_BYTES: core::ops::RangeInclusive<u64> = 68..=4000;

pub(crate) struct Handshake {
    pub(super) pages: Pages,
}

impl Connect for Handshake {
    type Link = Link;

    fn connect(
        &self,
        handles: Handles,
        path: String,
    ) -> Task<Result<Established<Link>, ConnectError>> {
        let pages = self.pages;
        Box::pin(async move { connect(handles, path, pages).await })
    }
}

async fn connect(
    handles: Handles,
    path: String,
    pages: Pages,
) -> Result<Established<Link>, ConnectError> {
    let frontend = Frontend::locate(&handles.xenstore, &handles.timers, &path).await?;
    let watch = frontend.watch_backend().await?;
    frontend.restart(&watch).await?;

    // Features are valid from InitWait on.
    if !frontend.read_backend_flag("feature-rx-copy").await? {
        return Err(BackendFault::BadNode("feature-rx-copy").into());
    }
    let info = LinkInfo {
        mac: read_mac(&frontend).await?,
        mtu_bytes: read_mtu(&frontend).await?,
    };
    let has_split = frontend
        .read_backend_flag("feature-split-event-channels")
        .await?;
    let ports = open(&handles, &frontend, has_split).ok_or(ConnectError::Resources)?;
    let link = build(&handles, &frontend, (info, ports), pages).ok_or(ConnectError::Resources)?;
    publish(&frontend, &link).await?;
    frontend.switch_to(XenbusState::Connected).await?;
    frontend.wait_for(&watch, &[XenbusState::Connected]).await?;
    log::info!(
        "{path}: connected to domain {}, mac {}, mtu {}",
        frontend.backend_domid().0,
        Mac(info.mac),
        info.mtu_bytes
    );
    Ok(Established {
        link: link.link,
        frontend,
        watch,
        reread: None,
    })
}

struct Built {
    link: Link,
    tx_ring: u32,
    rx_ring: u32,
}

/// One event channel, or one for each ring where the backend can have that.
///
/// Linux's netback may lose its event channel while it connects: a thread of the receiving side
/// answers the first event before the channel's number is noted, and it stays masked for ever.
/// Where the sending side has a channel of its own, that one is answered by who was told.
fn open(handles: &Handles, frontend: &Frontend, has_split: bool) -> Option<Ports> {
    let open = || {
        let port = handles.events.alloc_unbound(frontend.backend_domid());
        Some(OwnedPort::new(handles, port.ok()?))
    };
    Some(Ports {
        tx: open()?,
        rx: if has_split { Some(open()?) } else { None },
    })
}

fn build(
    handles: &Handles,
    frontend: &Frontend,
    (info, ports): (LinkInfo, Ports),
    pages: Pages,
) -> Option<Built> {
    let domid = frontend.backend_domid();
    let rx_count = pages.rx.min(NetRx::SLOTS) as usize;
    let tx_count = pages.tx.min(NetTx::SLOTS) as usize;
    let rx_pages = handles.grant_many(domid, GrantAccess::ReadWrite, rx_count)?;
    let tx_pages = handles.grant_many(domid, GrantAccess::ReadOnly, tx_count)?;
    let rx_grant = handles.grant(domid, GrantAccess::ReadWrite)?;
    let rx_ring = rx_grant.reference().number();
    let rx = Receiver::new(handles.clone(), FrontRing::new(rx_grant), rx_pages);
    let tx_grant = handles.grant(domid, GrantAccess::ReadWrite)?;
    let tx_ring = tx_grant.reference().number();
    let tx = Transmitter::new(handles.clone(), FrontRing::new(tx_grant), tx_pages);
    let mut link = Link {
        info,
        ports,
        rx,
        tx,
    };
    // Posted before the backend looks for the first time.
    link.rx.publish();
    Some(Built {
        link,
        tx_ring,
        rx_ring,
    })
}

async fn publish(frontend: &Frontend, built: &Built) -> Result<(), ConnectError> {
    let Ports { tx, rx } = &built.link.ports;
    let rx = rx.as_ref().unwrap_or(tx).port().number();
    let tx = tx.port().number();
    frontend
        .publish(&[
            ("tx-ring-ref", &built.tx_ring),
            ("rx-ring-ref", &built.rx_ring),
            // Where both are the same, that is one channel; so nothing is left of a life with two.
            ("event-channel", &tx),
            ("event-channel-tx", &tx),
            ("event-channel-rx", &rx),
            ("request-rx-copy", &1),
            ("feature-rx-notify", &1),
            ("feature-sg", &0),
            // Checksums are always complete, both ways: nobody below TCP verifies blanks.
            ("feature-no-csum-offload", &1),
        ])
        .await?;
    Ok(())
}

async fn read_mac(frontend: &Frontend) -> Result<[u8; 6], ConnectError> {
    let text = frontend.read("mac").await?;
    parse_mac(text.trim()).ok_or(BackendFault::BadNode("mac").into())
}

async fn read_mtu(frontend: &Frontend) -> Result<u16, ConnectError> {
    let stated = frontend
        .read("mtu")
        .await
        .ok()
        .and_then(|text| text.trim().parse().ok());
    Ok(stated
        .filter(|mtu| MTU_RANGE_BYTES.contains(mtu))
        .map_or(MTU_DEFAULT_BYTES, |mtu: u64| mtu as u16))
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let two_digits =
            |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        let part = parts.next().filter(two_digits)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    // A group address is nobody's own.
    (parts.next().is_none() && mac[0] & 1 == 0).then_some(mac)
}

struct Mac([u8; 6]);

impl core::fmt::Display for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::parse_mac;

    #[test]
    fn macs_are_six_bytes_of_one_station() {
        assert_eq!(
            parse_mac("00:16:3e:01:02:fF"),
            Some([0, 0x16, 0x3e, 1, 2, 0xff])
        );
        for bad in [
            "",
            "00:16:3e:01:02",
            "00:16:3e:01:02:03:04",
            "01:16:3e:01:02:03",
            "0:16:3e:1:2:3",
            "00:16:3e:01:02:+1",
        ] {
            assert_eq!(parse_mac(bad), None, "{bad}");
        }
    }
}
