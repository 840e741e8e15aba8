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
    admin_port: u16,
    log: PathBuf,
}

impl Run {
    fn start(directory: &Path, name: &str, port: u16) -> Run {
        let admin_port = free_port();
        let log = directory.join(format!("{name}.log"));
        let file = File::create(&log).expect("a log can be made");
        let child = xtask()
            .args(["run", "--port", &port.to_string()])
            .args(["--admin-port", &admin_port.to_string(), "--disk"])
            .arg(directory.join("disk.img"))
            .args(["--", "auth=open"])
            .stdout(file.try_clone().expect("a file has two handles"))
            .stderr(file)
            .spawn()
            .expect("xtask starts");
        Run {
            child,
            port,
            admin_port,
            log,
        }
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

/// `cargo xtask` itself, and the programs it calls.
fn xtask() -> Command {
    let program = env::var_os("LAMPION_XTASK").expect("`cargo xtask test` says where it is");
    let clients = env::var("LAMPION_CLIENTS").expect("and where curl is");
    let path = env::var("PATH").expect("a search path");
    let mut xtask = Command::new(program);
    xtask.env("PATH", format!("{clients}:{path}"));
    xtask
}

/// A directory becomes the site and is taken back.
fn a_site_is_pushed_and_taken_back(run: &Run, directory: &Path) {
    let site = directory.join("site");
    fs::create_dir_all(site.join(".git")).expect("a directory can be made");
    let text = "<p>page</p>".repeat(1_000);
    for (name, content) in [
        ("index.html", "home"),
        ("long.html", &text),
        (".git/config", "x"),
    ] {
        fs::write(site.join(name), content).expect("a file can be written");
    }
    let to = format!("127.0.0.1:{}", run.admin_port);
    let site_verb = |words: &[&str]| {
        let mut verb = xtask();
        verb.arg("site").args(words).args(["--to", &to]);
        let output = verb.output().expect("xtask starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said, told)
    };
    let place = site.to_str().expect("UTF-8");
    let (is_done, said, told) = site_verb(&["push", place, "--gzip"]);
    assert!(
        is_done && said.contains("\"shown\":1,\"files\":3,"),
        "{said}{told}"
    );
    assert!(told.contains("left out, since hidden"), "{told}");
    let page = |target: &str| run.request("GET", target, b"").expect("an answer");
    assert_eq!(page("/").text(), "home");
    assert_eq!(page("/long.html").text(), text);
    assert_eq!(page("/.git/config").status, 404);
    fs::write(site.join("index.html"), "sale").expect("a file can be written");
    fs::write(site.join("_redirects"), "/a b").expect("a file can be written");
    let (is_done, said, told) = site_verb(&["push", place]);
    assert!(
        !is_done && said.contains("Line 1 of `_redirects`"),
        "{said}{told}"
    );
    assert!(told.contains("says why"), "{told}");
    fs::remove_file(site.join("_redirects")).expect("it can be removed");
    assert!(site_verb(&["push", place]).0);
    assert_eq!(page("/").text(), "sale");
    let (is_done, said, told) = site_verb(&["rollback"]);
    assert!(is_done && said.contains("\"shown\":1,"), "{said}{told}");
    assert_eq!(page("/").text(), "home");
    assert!(site_verb(&["list"]).1.contains("\"state\":\"kept\""));
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
    a_site_is_pushed_and_taken_back(&first, &directory);
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
    let home = second.request("GET", "/", b"").expect("an answer");
    assert_eq!(home.text(), "home", "what was shown is shown");
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
