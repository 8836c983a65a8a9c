//! What a thread that entered the sandbox can and cannot do any more.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::*;

/// Runs in a thread of its own: what it gives up, the other tests keep.
fn inside<T: Send>(wanted: &Wanted, work: impl FnOnce(&InForce) -> T + Send) -> T {
    thread::scope(|scope| {
        let inside = scope.spawn(|| work(&enter(wanted).expect("nobody else is wanted")));
        inside.join().expect("no panic")
    })
}

fn is_denied<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Whether Landlock of at least this level is there to be tested; says so if it is not.
fn is_confined(in_force: &InForce, level: u32) -> bool {
    let confined = matches!(in_force.files, Some(Ok(found)) if found >= level);
    if !confined {
        eprintln!("skipped: {in_force}");
    }
    confined
}

#[test]
fn files_that_are_not_named_are_out_of_reach() {
    let (ours, others) = (tempfile::tempdir().expect("made"), tempfile::tempdir().expect("made"));
    let (read, written) = (ours.path().join("read"), ours.path().join("written"));
    for directory in [&read, &written] {
        fs::create_dir(directory).expect("made");
        fs::write(directory.join("file"), "text").expect("written");
    }
    fs::write(others.path().join("file"), "text").expect("written");
    let reach = Reach { read: vec![read.clone()], write: vec![written.clone()], ..Reach::default() };
    inside(&Wanted { files: Some(reach), ..Wanted::default() }, |in_force| {
        if !is_confined(in_force, 3) {
            return;
        }
        assert!(fs::read(read.join("file")).is_ok() && fs::read_dir(&read).is_ok());
        assert!(is_denied(fs::write(read.join("file"), "other")));
        assert!(is_denied(fs::read(others.path().join("file"))));
        assert!(is_denied(fs::read_dir(others.path())));
        assert!(is_denied(fs::write(others.path().join("new"), "text")));
        fs::write(written.join("new"), "text").expect("it may be written");
        fs::create_dir(written.join("deeper")).expect("it may be written");
        fs::rename(written.join("new"), written.join("deeper/new")).expect("it may be written");
        fs::remove_dir_all(written.join("deeper")).expect("it may be written");
    });
    assert!(fs::read(others.path().join("file")).is_ok(), "another thread is free");
}

#[test]
fn threads_that_are_started_inside_are_inside() {
    let others = tempfile::tempdir().expect("made");
    fs::write(others.path().join("file"), "text").expect("written");
    let wanted = Wanted { files: Some(Reach::default()), calls: true, ..Wanted::default() };
    inside(&wanted, |in_force| {
        if is_confined(in_force, 1) {
            let read = thread::spawn(move || fs::read(others.path().join("file")));
            assert!(is_denied(read.join().expect("no panic")));
        }
    });
}

#[test]
fn ports_that_are_not_named_cannot_be_listened_on() {
    let wanted = Wanted { files: Some(Reach::default()), ..Wanted::default() };
    inside(&wanted, |in_force| {
        if is_confined(in_force, 4) {
            assert!(is_denied(TcpListener::bind("127.0.0.1:0")));
        }
    });
    let any = Reach { ports: vec![0], ..Reach::default() };
    inside(&Wanted { files: Some(any), ..Wanted::default() }, |_| {
        assert!(TcpListener::bind("127.0.0.1:0").is_ok());
    });
}

#[test]
fn no_program_can_be_started() {
    let wanted = Wanted { calls: true, ..Wanted::default() };
    inside(&wanted, |in_force| {
        if in_force.calls == Some(Ok(())) {
            assert!(is_denied(Command::new("/bin/true").status()));
        } else {
            eprintln!("skipped: {in_force}");
        }
    });
}

#[test]
fn a_user_that_is_not_there_is_an_error_that_says_what_to_do() {
    let wanted = Wanted { user: Some("no-such-user".into()), ..Wanted::default() };
    let error = enter(&wanted).expect_err("there is none");
    assert!(error.contains("`no-such-user`") && error.contains("useradd"), "{error}");
}

#[test]
fn a_directory_that_is_written_to_is_made() {
    let directory = tempfile::tempdir().expect("made");
    let state = directory.path().join("deep/state");
    inside(&Wanted { made: vec![state.clone()], ..Wanted::default() }, |_| assert!(state.is_dir()));
    let unmade = Path::new("/dev/null/state").to_owned();
    inside(&Wanted { made: vec![unmade], ..Wanted::default() }, |_| ());
}

#[test]
fn what_is_in_force_is_one_line() {
    let whole = InForce {
        user: "windrose".into(),
        root: false,
        no_new_privileges: Ok(()),
        files: Some(Ok(6)),
        calls: Some(Ok(())),
    };
    assert_eq!(whole.to_string(), "user windrose, no new privileges, Landlock (ABI 6), seccomp");
    assert!(!whole.lacks());
    let partial = InForce { files: Some(Err("this kernel has none".into())), calls: None, ..whole };
    assert_eq!(
        partial.to_string(),
        "user windrose, no new privileges, no Landlock (this kernel has none), no seccomp (switched off)"
    );
    assert!(partial.lacks());
}
