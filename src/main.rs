//! `groupattr-operator run`, `check`, `drain` and `crd`.

use std::process::ExitCode;

use groupattr::cli::{self, Check, Command, Drain, Run};
use groupattr::run::{Exit, run};
use groupattr::{api, observability::logging};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Command::Crd) => match api::crds_yaml() {
            Ok(yaml) => print(&yaml),
            Err(error) => fail(&error, 1),
        },
        Ok(Command::Print(text)) => print(&text),
        Ok(Command::Run(settings)) => operate(*settings),
        Ok(Command::Check(settings)) => look(&settings),
        Ok(Command::Drain(settings)) => drain(&settings),
        Err(error) => fail(&error, 2),
    }
}

/// One line for a person or a log, and the exit code for programs.
fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("groupattr-operator: {error}");
    ExitCode::from(code)
}

/// To a pipe that may have been closed, as by `| head`.
fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(1),
    }
}

fn look(settings: &Check) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    match runtime.block_on(groupattr::check::check(settings)) {
        Ok(found) => {
            let printed = print(&found.text);
            if found.good { printed } else { ExitCode::from(1) }
        }
        Err(error) => fail(&error, 1),
    }
}

fn drain(settings: &Drain) -> ExitCode {
    if let Err(error) = logging::install(settings.run.log_format, &settings.run.log_filter) {
        return fail(&error, 1);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    let drained = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        listen_for_signals(&shutdown)?;
        groupattr::drain::drain(settings, &shutdown).await.map_err(Box::<dyn std::error::Error>::from)
    });
    match drained {
        Ok(line) => print(&format!("{line}\n")),
        Err(error) => fail(&error, 1),
    }
}

fn operate(settings: Run) -> ExitCode {
    if let Err(error) = leave_no_core() {
        return fail(&format!("core dumps cannot be switched off: {error}"), 1);
    }
    if let Err(error) = logging::install(settings.log_format, &settings.log_filter) {
        return fail(&error, 1);
    }
    if let Err(error) = allow_many_sockets() {
        tracing::warn!("the number of open files could not be raised, and calls may wait for them: {error}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    let exit = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        listen_for_signals(&shutdown)?;
        run(settings, shutdown).await.map_err(Box::<dyn std::error::Error>::from)
    });
    // Nothing that is still running may hold the process up.
    runtime.shutdown_background();
    match exit {
        Ok(Exit::Shutdown | Exit::HandedOver) => ExitCode::SUCCESS,
        Ok(Exit::OutOfTime | Exit::LeadershipLost | Exit::Broken) => ExitCode::from(1),
        Err(error) => fail(&error, 1),
    }
}

/// A core dump would hold keys and signatures. The limit cannot be raised again.
fn leave_no_core() -> rustix::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
}

/// Each call under way is a connection; an account whose endpoint hangs alone may hold 200 of them for ten seconds, and
/// shells and container runtimes give a program 1,024 files until it asks for more.
fn allow_many_sockets() -> rustix::io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)
}

fn listen_for_signals(shutdown: &CancellationToken) -> std::io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut arrived, shutdown) = (signal(kind)?, shutdown.clone());
        tokio::spawn(async move {
            arrived.recv().await;
            tracing::info!("told to end");
            shutdown.cancel();
        });
    }
    Ok(())
}
