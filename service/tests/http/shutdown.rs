//! Ending well.

use crate::harness::{self, Bench, noise};
use service::Progress;

#[test]
fn what_is_in_progress_is_finished_and_no_more() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", noise(200_000));
    let put = harness::put("/kv/b/new", "", b"hello");
    let mut upload = bench.client();
    upload.say(&put[..put.len() - 2]);
    let mut download = bench.client();
    download.wire.room = 1000;
    download.say("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut idle = bench.client();
    idle.say("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
    for client in [&mut upload, &mut download, &mut idle] {
        bench.run(client);
    }
    assert_eq!(bench.service.request_count(), 2);
    assert_eq!(bench.service.connection_count(), 3);

    bench.service.begin_shutdown();
    assert!(!bench.service.is_drained());
    bench.run(&mut idle);
    assert_eq!(idle.progress, Progress::Finish, "nothing is asked of it");
    drop(idle);

    let ready = bench.get("/readyz");
    assert_eq!((ready.status, ready.the("Connection")), (503, "close"));
    assert!(ready.text().contains("why: shutting down\n"));
    assert_eq!(bench.get("/healthz").status, 200);

    upload.say(&put[put.len() - 2..]);
    bench.run(&mut upload);
    let replies = upload.replies();
    assert_eq!(
        (replies[0].status, replies[0].the("Connection")),
        (201, "close")
    );
    assert_eq!(upload.progress, Progress::Finish);
    drop(upload);
    assert!(!bench.service.is_drained(), "the download goes on");

    download.wire.room = usize::MAX;
    bench.run(&mut download);
    let replies = download.replies();
    assert_eq!(replies[0].body.len(), 200_000);
    // Its head was sent before: the connection ends at the next answer.
    assert_eq!(
        (replies[1].status, replies[1].the("Connection")),
        (200, "close")
    );
    assert_eq!(download.progress, Progress::Finish);
    drop(download);
    assert!(bench.service.is_drained());
    assert_eq!(bench.service.connection_count(), 0);
}

#[test]
fn a_dropped_connection_is_not_counted_any_more() {
    let mut bench = Bench::open();
    let mut client = bench.client();
    client.say("PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
    bench.run(&mut client);
    bench.service.begin_shutdown();
    assert!(!bench.service.is_drained());
    drop(client);
    assert!(bench.service.is_drained());
}

#[test]
fn a_change_whose_peer_is_dropped_is_still_waited_for() {
    let mut bench = Bench::open();
    let mut client = bench.client();
    client.say(harness::put("/kv/b/k", "", b"hello"));
    client.step(&mut bench);
    client.step(&mut bench);
    drop(client);
    for _ in 0..1000 {
        bench.service.step_store(bench.now);
    }
    bench.service.begin_shutdown();
    assert!(bench.service.is_drained());
    assert_eq!(bench.get("/kv/b/k").text(), "hello");
}
