//! `https.port`, reached with curl and openssl.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tests::bed::Bed;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};

/// A name that only its certificate has.
const NAME: &str = "shop.example";
/// How long a client may take, in seconds.
const TIMEOUT_S: &str = "60";

/// Programs of the bed, in a directory of their own.
struct Clients {
    programs: PathBuf,
    directory: PathBuf,
}

/// What a program said, and whether it was content.
struct Said {
    text: String,
    is_content: bool,
}

impl Clients {
    fn new() -> Clients {
        let programs = std::env::var("LAMPION_CLIENTS").expect("set by `cargo xtask test`");
        let name = format!("lampion-tls-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a directory");
        Clients {
            programs: PathBuf::from(programs),
            directory,
        }
    }

    /// Runs a program with words and what it reads.
    fn run(&self, program: &str, words: &[&str], input: &[u8]) -> Said {
        let mut child = Command::new("timeout")
            .arg(TIMEOUT_S)
            .arg(self.programs.join(program))
            .args(words)
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut pipe = child.stdin.take().expect("it is piped");
        // Who has refused reads no more.
        let _ = pipe.write_all(input);
        drop(pipe);
        let output = child.wait_with_output().expect("it ends");
        let (out, err) = (&output.stdout, &output.stderr);
        Said {
            text: String::from_utf8_lossy(&[&out[..], b"\n", &err[..]].concat()).into_owned(),
            is_content: output.status.success(),
        }
    }

    /// The same, which has to go well.
    fn well(&self, program: &str, words: &[&str], input: &[u8]) -> String {
        let said = self.run(program, words, input);
        assert!(said.is_content, "{program} {words:?}: {}", said.text);
        said.text
    }

    /// A certificate that an authority of ours has signed, and its key, as one text.
    fn signed(&self) -> String {
        let openssl = |words: &str| {
            let words: Vec<&str> = words.split(' ').collect();
            self.well("openssl", &words, b"")
        };
        let curve = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
        openssl(&format!("genpkey {curve} -out ca.key"));
        openssl(&format!("genpkey {curve} -out leaf.key"));
        openssl("req -x509 -new -key ca.key -subj /CN=authority -days 30 -out ca.pem");
        openssl(&format!(
            "req -new -key leaf.key -subj /CN={NAME} -out leaf.csr"
        ));
        let names = format!("subjectAltName=DNS:{NAME}\n");
        std::fs::write(self.directory.join("names"), names).expect("written");
        openssl(
            "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile \
             names -out leaf.pem",
        );
        let read = |name: &str| {
            let text = std::fs::read_to_string(self.directory.join(name));
            text.expect("it was written")
        };
        [read("leaf.pem"), read("ca.pem"), read("leaf.key")].concat()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn curl_and_openssl_are_served_in_tls() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "tls", DISK_BYTES);
    let guest = Guest::serving(&bed, "tls", &Recipe::on_disk(&disk));
    guest.wait_for_console("https: ready at https://");
    let clients = Clients::new();
    let door = guest.secure_address();
    served(&clients, door);
    refused(&clients, door);
    renewed(&clients, &guest);
}

/// Values go both ways, with each cipher and group, and the fingerprint is the console's.
fn served(clients: &Clients, door: &str) {
    let url = format!("https://{door}/kv/b/k");
    let value = vec![b'v'; 300_000];
    std::fs::write(clients.directory.join("value"), &value).expect("written");
    let curl = |words: &[&str]| clients.well("curl", &[&["-sS", "-k"], words].concat(), b"");
    curl(&["--fail", "-T", "value", &url]);
    for cipher in ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"] {
        let file = clients.directory.join("got");
        let _ = std::fs::remove_file(&file);
        curl(&["--fail", "--tls13-ciphers", cipher, "-o", "got", &url]);
        assert!(std::fs::read(&file).expect("it came") == value, "{cipher}");
    }
    for group in ["X25519", "P-256"] {
        let words = [
            "s_client",
            "-connect",
            door,
            "-groups",
            group,
            "-alpn",
            "h2,http/1.1",
        ];
        let said = clients.well("openssl", &words, b"");
        for expected in [
            "TLSv1.3",
            "ALPN protocol: http/1.1",
            "Peer signing digest: SHA256",
            "Peer signature type: ECDSA",
        ] {
            assert!(said.contains(expected), "{group}: {expected}: {said}");
        }
    }
    // Who comes again brings a ticket.
    let ask = b"GET /healthz HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n";
    let words = [
        "s_client",
        "-connect",
        door,
        "-ign_eof",
        "-sess_out",
        "session",
    ];
    let first = clients.well("openssl", &words, ask);
    assert!(first.contains("New, TLSv1.3"), "{first}");
    let words = [
        "s_client", "-connect", door, "-ign_eof", "-sess_in", "session",
    ];
    let again = clients.well("openssl", &words, ask);
    assert!(again.contains("Reused, TLSv1.3"), "{again}");
}

/// What is older or unknown is refused, and the port serves on.
fn refused(clients: &Clients, door: &str) {
    for words in [
        &["-tls1_2"][..],
        &["-tls1_1"],
        &["-ciphersuites", "TLS_AES_256_GCM_SHA384"],
        &["-groups", "P-521"],
        &["-sigalgs", "RSA-PSS+SHA256"],
        &["-alpn", "h2"],
    ] {
        let words = [&["s_client", "-connect", door], words].concat();
        let said = clients.run("openssl", &words, b"");
        assert!(!said.is_content, "{words:?}: {}", said.text);
        assert!(said.text.contains("alert"), "{words:?}: {}", said.text);
    }
    let plain = format!("http://{door}/healthz");
    assert!(!clients.run("curl", &["-sS", &plain], b"").is_content);
    let trusting = format!("https://{door}/healthz");
    let said = clients.run("curl", &["-sS", &trusting], b"");
    assert!(said.text.contains("certificate"), "{}", said.text);
    clients.well("curl", &["-sS", "-k", "--fail", &trusting], b"");
}

/// A certificate that clients trust takes the place of the first one.
fn renewed(clients: &Clients, guest: &Guest) {
    let text = clients.signed();
    let answer = guest.ask_admin("PUT", "/-/admin/tls", text.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let words = [
        "x509",
        "-in",
        "leaf.pem",
        "-noout",
        "-fingerprint",
        "-sha256",
    ];
    let printed = clients.well("openssl", &words, b"");
    let fingerprint = printed.split('=').nth(1).unwrap_or_default().trim();
    assert!(
        answer.text().contains(fingerprint),
        "{printed}: {}",
        answer.text()
    );
    let door = guest.secure_address();
    let to = format!("{NAME}:443:{door}");
    let url = format!("https://{NAME}/healthz");
    let words = [
        "-sS",
        "--fail",
        "--cacert",
        "ca.pem",
        "--connect-to",
        &to,
        &url,
    ];
    clients.well("curl", &words, b"");
}
