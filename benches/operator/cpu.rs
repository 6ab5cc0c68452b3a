//! Who uses the processors, by `/proc`.

use std::time::Instant;

use anyhow::Result;
use procfs::process::{Process, Stat};
use procfs::{CurrentSI as _, KernelStats, ticks_per_second};

use super::machine::cores;

/// Processor time used so far, in seconds, by each part and by the whole machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    at: Instant,
    operator: f64,
    apiserver: f64,
    etcd: f64,
    vendor: f64,
    /// This process without the vendor in it: it makes the objects and looks at them.
    bench: f64,
    machine: f64,
}

/// The processes to look at. The vendor is a thread of this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) operator: i32,
    pub(crate) apiserver: i32,
    pub(crate) etcd: i32,
}

/// What happened between two readings, in seconds of processor time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) seconds: f64,
    pub(crate) operator: f64,
    pub(crate) apiserver: f64,
    pub(crate) etcd: f64,
    pub(crate) vendor: f64,
    pub(crate) bench: f64,
    /// Everything that ran on this machine.
    pub(crate) machine: f64,
}

impl Parts {
    pub(crate) fn read(&self) -> Result<Reading> {
        let of = |pid: i32| Ok::<_, anyhow::Error>(seconds(&Process::new(pid)?.stat()?));
        let here = Process::myself()?;
        let vendor = here.tasks()?.flatten().filter_map(|task| task.stat().ok());
        let vendor: f64 = vendor.filter(|stat| stat.comm == "vendor").map(|stat| seconds(&stat)).sum();
        Ok(Reading {
            at: Instant::now(),
            operator: of(self.operator)?,
            apiserver: of(self.apiserver)?,
            etcd: of(self.etcd)?,
            vendor,
            bench: seconds(&here.stat()?) - vendor,
            machine: busy()?,
        })
    }
}

impl Used {
    pub(crate) fn between(before: &Reading, after: &Reading) -> Self {
        Self {
            seconds: (after.at - before.at).as_secs_f64(),
            operator: after.operator - before.operator,
            apiserver: after.apiserver - before.apiserver,
            etcd: after.etcd - before.etcd,
            vendor: after.vendor - before.vendor,
            bench: after.bench - before.bench,
            machine: after.machine - before.machine,
        }
    }

    /// A part's use as a share of one core, in percent.
    pub(crate) fn percent_of_a_core(&self, part: f64) -> f64 {
        100.0 * part / self.seconds
    }

    /// How busy all cores together were, in percent.
    pub(crate) fn machine_percent(&self) -> f64 {
        100.0 * self.machine / self.seconds / cores() as f64
    }
}

/// Seconds that this machine's cores have worked since it was started; stolen time counts, since it was not to be had.
pub(crate) fn busy() -> Result<f64> {
    let all = KernelStats::current()?.total;
    let ticks = all.user
        + all.nice
        + all.system
        + all.irq.unwrap_or(0)
        + all.softirq.unwrap_or(0)
        + all.steal.unwrap_or(0);
    Ok(ticks as f64 / ticks_per_second() as f64)
}

/// Seconds that this process and its children, living and waited for, have worked.
pub(crate) fn own() -> Result<f64> {
    let here = Process::myself()?;
    let mine = here.stat()?;
    let waited_for = (mine.cutime + mine.cstime) as f64 / ticks_per_second() as f64;
    let children = procfs::process::all_processes()?.flatten().filter_map(|process| process.stat().ok());
    let children: f64 = children.filter(|stat| stat.ppid == here.pid).map(|stat| seconds(&stat)).sum();
    Ok(seconds(&mine) + waited_for + children)
}

fn seconds(stat: &Stat) -> f64 {
    (stat.utime + stat.stime) as f64 / ticks_per_second() as f64
}
