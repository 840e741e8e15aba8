//! The ports of 127.0.0.1 through which a machine's network is reached.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

use super::agent;

/// The machine's own address on its network.
const ADDRESS: &str = "10.0.2.9";

/// The door of the agent.
pub(crate) const CONTROL: &str = "CONTROL";

/// The agent's, the appliance's on its usual address, and a second guest's.
const DOORS: [(&str, &str, u16); 7] = [
    (CONTROL, ADDRESS, agent::PORT),
    ("HTTP", "10.0.2.50", 80),
    ("HTTPS", "10.0.2.50", 443),
    ("RESP", "10.0.2.50", 6379),
    ("ADMIN", "10.0.2.50", 8081),
    ("HTTP2", "10.0.2.51", 80),
    ("ADMIN2", "10.0.2.51", 8081),
];

/// A port of the machine's network, reachable from the host.
#[derive(Debug, Clone)]
pub(crate) struct Forward {
    /// What it is called in the environment of tests.
    pub(crate) name: &'static str,
    /// The address and port inside.
    pub(crate) address: &'static str,
    pub(crate) inside: u16,
    /// The port on 127.0.0.1.
    pub(crate) port: u16,
}

/// Ports that nobody listens on now, all different; those that are asked for by their names.
pub(crate) fn choose(ports: &[(&str, u16)]) -> Result<Vec<Forward>> {
    // All are held until all are known: a port let go of may be given again.
    let mut held = Vec::new();
    let mut forwards = Vec::new();
    for (name, address, inside) in DOORS {
        let asked = ports.iter().find(|(asked, _)| *asked == name);
        let port = match asked {
            Some((_, port)) => *port,
            None => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                    .context("no port of 127.0.0.1 is free")?;
                let port = listener.local_addr()?.port();
                held.push(listener);
                port
            }
        };
        forwards.push(Forward {
            name,
            address,
            inside,
            port,
        });
    }
    Ok(forwards)
}

/// QEMU's words for the network, its forwards included.
pub(crate) fn network(forwards: &[Forward]) -> Vec<String> {
    let mut net = "user,id=net,dhcpstart=10.0.2.50".to_owned();
    for Forward {
        address,
        inside,
        port,
        ..
    } in forwards
    {
        net.push_str(&format!(",hostfwd=tcp:127.0.0.1:{port}-{address}:{inside}"));
    }
    let device = "virtio-net-pci,netdev=net,romfile=".to_owned();
    ["-netdev".to_owned(), net, "-device".to_owned(), device].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_port_is_given_twice() {
        let forwards = choose(&[]).unwrap();
        let ports: BTreeSet<u16> = forwards.iter().map(|forward| forward.port).collect();
        assert_eq!(ports.len(), DOORS.len());
    }

    #[test]
    fn the_port_asked_for_is_taken() {
        let forwards = choose(&[("HTTP", 8080)]).unwrap();
        let http = forwards.iter().find(|forward| forward.name == "HTTP");
        assert_eq!(http.unwrap().port, 8080);
    }
}
