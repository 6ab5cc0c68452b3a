//! Child processes that never outlive this process, however it ends.
//!
//! Tests keep a control plane in a static, which is never dropped, and a test runner may be killed. So the
//! kernel kills the children: `PR_SET_PDEATHSIG`. It sends the signal when the *thread* that started the
//! child ends, and test threads are short-lived. Therefore a single thread that never ends starts all
//! children.
//!
//! Setting the signal between fork and exec requires a copy of this process's page tables, which after some
//! minutes of tests takes a tenth of all CPU time. If `setpriv` of util-linux is available, it makes the same
//! system call after an exec, and nothing is copied.

use std::{
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus},
    sync::{Mutex, OnceLock, mpsc},
    time::Duration,
};

use rustix::process::{Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal};

use crate::until::poll;

/// `setpriv` executes the program that follows, which keeps the process id.
const SETPRIV: [&str; 4] = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"];

/// A running child, killed when dropped and whenever this process ends.
#[derive(Debug)]
pub(crate) struct Guarded {
    pid: Pid,
    child: Mutex<Child>,
}

struct Order {
    command: Command,
    started: mpsc::SyncSender<io::Result<Child>>,
}

/// The path of `setpriv`, if it works here.
fn setpriv() -> Option<&'static str> {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let works =
        || Command::new(SETPRIV[0]).args(&SETPRIV[1..]).arg("true").status().is_ok_and(|end| end.success());
    FOUND.get_or_init(works).then_some(SETPRIV[0])
}

/// The command, tied to this process; the caller adds input and output and passes it to [`start`].
pub(crate) fn tied(command: Command) -> Command {
    let Some(setpriv) = setpriv() else { return command };
    let mut tied = Command::new(setpriv);
    tied.args(&SETPRIV[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(name, value),
            None => tied.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        tied.current_dir(folder);
    }
    tied
}

/// Starts a command that [`tied`] has returned.
pub(crate) fn start(command: Command) -> io::Result<Guarded> {
    static ORDERS: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, orders) = mpsc::channel();
        std::thread::Builder::new()
            .name("children".into())
            .spawn(move || start_all(&orders))
            .expect("a thread can be started");
        sender
    });
    let (started, answer) = mpsc::sync_channel(1);
    orders.send(Order { command, started }).expect("the thread that starts children never ends");
    let child = answer.recv().expect("the thread that starts children always answers")?;
    Ok(Guarded { pid: Pid::from_child(&child), child: Mutex::new(child) })
}

fn start_all(orders: &mpsc::Receiver<Order>) {
    for Order { mut command, started } in orders {
        if command.get_program() != SETPRIV[0] {
            die_with_parent(&mut command);
        }
        let _ = started.send(command.spawn());
    }
}

#[allow(unsafe_code)]
fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes two system calls
    // (prctl and getppid), allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // If the parent ended before the line above, the signal would never be sent.
            if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) }
        });
    }
}

impl Guarded {
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal. A child that has already exited is not an error.
    pub(crate) fn signal(&self, signal: Signal) {
        let mut child = self.child.lock().expect("no panic while holding this lock");
        // The pid is still the child's only if it has not been waited for.
        if let Ok(None) = child.try_wait() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// The exit status; `None` while it runs.
    pub(crate) fn exit_status(&self) -> Option<ExitStatus> {
        self.child.lock().expect("no panic while holding this lock").try_wait().ok().flatten()
    }

    /// Waits for the exit; `None` if it still runs at the deadline.
    pub(crate) async fn wait_exit(&self, deadline: Duration) -> Option<ExitStatus> {
        poll(deadline, || async { self.exit_status().ok_or(()) }).await.ok()
    }

    /// Kills it and waits for its exit.
    pub(crate) fn kill(&self) -> ExitStatus {
        let mut child = self.child.lock().expect("no panic while holding this lock");
        let _ = child.kill();
        child.wait().unwrap_or_else(|_| ExitStatus::from_raw(Signal::KILL.as_raw()))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}
