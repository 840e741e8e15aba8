//! `cargo xtask run`, as a user sees it.

#![forbid(unsafe_code)]

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};
use tests::data::Random;
use tests::http::{Answer, Client};

/// The first start downloads and builds, on a machine that may be busy.
const START_TIMEOUT: Duration = Duration::from_secs(900);
/// The end waits for the guest at most a minute.
const END_TIMEOUT: Duration = Duration::from_secs(120);

/// `cargo xtask run` under way; killed when dropped.
struct Run {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Run {
    fn start(directory: &Path, name: &str, port: u16) -> Run {
        let xtask = env::var_os("LAMPION_XTASK").expect("`cargo xtask test` says where it is");
        let log = directory.join(format!("{name}.log"));
        let file = File::create(&log).expect("a log can be made");
        let child = Command::new(xtask)
            .args(["run", "--port", &port.to_string(), "--disk"])
            .arg(directory.join("disk.img"))
            .args(["--", "auth=open"])
            .stdout(file.try_clone().expect("a file has two handles"))
            .stderr(file)
            .spawn()
            .expect("xtask starts");
        Run { child, port, log }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).expect("the log can be read")
    }

    fn request(&self, method: &str, target: &str, body: &[u8]) -> std::io::Result<Answer> {
        let mut client = Client::connect(&format!("127.0.0.1:{}", self.port))?;
        client.set_timeout(Duration::from_secs(10))?;
        client.request(method, target, body)
    }

    fn wait_until_it_serves(&mut self) {
        let begin = Instant::now();
        loop {
            match self.request("GET", "/readyz?for=write", b"") {
                Ok(answer) if answer.status == 200 => return,
                _ => {}
            }
            let status = self.child.try_wait().expect("xtask can be waited for");
            assert!(
                status.is_none() && begin.elapsed() < START_TIMEOUT,
                "it does not serve ({status:?}):\n{}",
                self.said()
            );
            thread::sleep(Duration::from_millis(300));
        }
    }

    fn wait_until_it_ends(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("xtask can be waited for") {
                return status;
            }
            assert!(begin.elapsed() < END_TIMEOUT, "no end:\n{}", self.said());
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_value_outlives_the_death_of_everything() {
    let logs = env::var_os("LAMPION_BED_LOGS").expect("`cargo xtask test` says where");
    let directory = PathBuf::from(logs).join(format!("test-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory can be made");
    let port = free_port();
    let value = Random::new(1).bytes(300_000);

    let mut first = Run::start(&directory, "first", port);
    first.wait_until_it_serves();
    let welcome = first.request("GET", "/", b"").expect("a welcome page");
    assert_eq!(welcome.status, 200);
    assert!(welcome.text().contains("Lampion"), "{}", welcome.text());
    let put = first.request("PUT", "/kv/docs/a", &value);
    assert_eq!(put.expect("an answer").status, 201);
    assert!(first.request("GET", "/kv/docs/a", b"").expect("it").body == value);
    a_second_one_is_refused(&directory, port);
    first.child.kill().expect("it can be killed");
    first.child.wait().expect("it can be waited for");
    wait_until_nobody_listens(port);

    let mut second = Run::start(&directory, "second", port);
    second.wait_until_it_serves();
    let get = second.request("GET", "/kv/docs/a", b"").expect("an answer");
    assert!(
        get.body == value,
        "{} bytes, {}",
        get.body.len(),
        get.status
    );
    let interrupted = Command::new("kill")
        .args(["-INT", &second.child.id().to_string()])
        .status();
    assert!(interrupted.expect("kill runs").success());
    let status = second.wait_until_it_ends();
    let said = second.said();
    assert!(status.success(), "{status}:\n{said}");
    assert!(said.contains("Lampion has shut down"), "{said}");
    assert!(
        said.contains("Poweroff now"),
        "the console is shown:\n{said}"
    );
    drop((first, second));
    fs::remove_dir_all(&directory).expect("it can be removed");
}

fn a_second_one_is_refused(directory: &Path, port: u16) {
    let mut second = Run::start(directory, "refused", port);
    assert!(!second.wait_until_it_ends().success());
    let way_out = format!("port {port} is taken: try `cargo xtask run --port");
    assert!(second.said().contains(&way_out), "{}", second.said());
}

/// The machine dies with xtask.
fn wait_until_nobody_listens(port: u16) {
    let begin = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
        assert!(begin.elapsed() < END_TIMEOUT, "the machine lives on");
        thread::sleep(Duration::from_millis(50));
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}
