//! Entry point of `groupattr-operator run`, `check`, `drain` and `crd`.

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
        Ok(Command::Run(settings)) => run_command(*settings),
        Ok(Command::Check(settings)) => check_command(&settings),
        Ok(Command::Drain(settings)) => drain_command(&settings),
        Err(error) => fail(&error, 2),
    }
}

/// Prints one line to standard error and returns `code` as the exit code.
fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("groupattr-operator: {error}");
    ExitCode::from(code)
}

/// Prints to standard output. A closed pipe (`| head`) is an error exit, not a panic.
fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(1),
    }
}

fn check_command(settings: &Check) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    match runtime.block_on(groupattr::check::check(settings)) {
        Ok(found) => {
            let printed = print(&found.text);
            if found.is_complete { printed } else { ExitCode::from(1) }
        }
        Err(error) => fail(&error, 1),
    }
}

fn drain_command(settings: &Drain) -> ExitCode {
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

fn run_command(settings: Run) -> ExitCode {
    if let Err(error) = disable_core_dumps() {
        return fail(&format!("cannot disable core dumps: {error}"), 1);
    }
    if let Err(error) = logging::install(settings.log_format, &settings.log_filter) {
        return fail(&error, 1);
    }
    if let Err(error) = raise_open_file_limit() {
        tracing::warn!("cannot raise the open-file limit, so calls may have to wait for a socket: {error}");
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
    // Do not let a task that is still running delay the exit.
    runtime.shutdown_background();
    match exit {
        Ok(Exit::Shutdown | Exit::HandedOver) => ExitCode::SUCCESS,
        Ok(Exit::OutOfTime | Exit::LeadershipLost | Exit::Broken) => ExitCode::from(1),
        Err(error) => fail(&error, 1),
    }
}

/// Disables core dumps for good (the hard limit drops to 0), because a dump would contain keys and signatures.
fn disable_core_dumps() -> rustix::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
}

/// Raises the open-file limit to the hard limit. Each call in flight holds a connection, and one account whose endpoint
/// hangs can hold 200 of them for 10 s; shells and container runtimes start a program with a soft limit of 1,024 files.
fn raise_open_file_limit() -> rustix::io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)
}

fn listen_for_signals(shutdown: &CancellationToken) -> std::io::Result<()> {
    for (name, kind) in [("SIGTERM", SignalKind::terminate()), ("SIGINT", SignalKind::interrupt())] {
        let (mut arrived, shutdown) = (signal(kind)?, shutdown.clone());
        tokio::spawn(async move {
            arrived.recv().await;
            tracing::info!("received {name}, shutting down");
            shutdown.cancel();
        });
    }
    Ok(())
}
