//! Single keys when a person sits there, characters of lines when a program does.

use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// The keys that are pressed.
pub(super) struct Keys {
    pressed: mpsc::Receiver<char>,
    /// What the terminal was before, to be restored.
    terminal: Option<Termios>,
}

impl Keys {
    /// Listens on standard input. Interrupt (Ctrl-C) stays what it is.
    pub(super) fn listen() -> Self {
        let terminal = io::stdin().is_terminal().then(single_keys).flatten();
        let (press, pressed) = mpsc::channel(16);
        // A thread of its own: a read of standard input cannot be cancelled, and must not hold up the end.
        std::thread::spawn(move || {
            for byte in io::stdin().lock().bytes().map_while(Result::ok) {
                let key = char::from(byte).to_ascii_lowercase();
                if !key.is_whitespace() && press.blocking_send(key).is_err() {
                    return;
                }
            }
        });
        Self { pressed, terminal }
    }

    /// The next key. At the end of input: none ever, so that a demo without a terminal runs on.
    pub(super) async fn next(&mut self) -> Option<char> {
        match self.pressed.recv().await {
            Some(key) => Some(key),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.terminal {
            let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, before);
        }
    }
}

/// Keys come at once and are not shown; says what to restore, if that worked.
fn single_keys() -> Option<Termios> {
    let stdin = io::stdin();
    let before = tcgetattr(stdin.as_fd()).ok()?;
    let mut single = before.clone();
    single.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
    tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &single).ok()?;
    Some(before)
}
