//! The alarms of a watch when it starts: rules, the states and notices that earlier runs have left.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use divvy::alarms::{Evaluator, Forecasts, Rules, Setting};
use divvy::ingest::watch::SystemWatch;
use divvy::reports::{SHORTEST_GAP, plural};

use super::Alarms;
use super::system::SystemAlarms;
use crate::cmd::notices::{self, Delivery, Folder, Sender};
use crate::cmd::watch::source::Source;
use crate::open::Common;
use crate::store_name::StoreName;

impl Alarms {
    /// Reads the rules, and opens the folder with what earlier runs have left.
    ///
    /// `forecasts` are for rules about what is likely.
    ///
    /// # Errors
    ///
    /// The rules have a mistake, or need forecasts and there are none; a secret is missing; the folder cannot
    /// be opened, or another process holds it.
    pub fn open(
        rules_path: &Path,
        folder: &Path,
        watches: &[(&Source, &SystemWatch)],
        forecasts: Option<Arc<dyn Forecasts>>,
        common: &Common,
    ) -> anyhow::Result<Self> {
        let rules = notices::read_rules(rules_path)?;
        if forecasts.is_none() {
            notices::expect_no_forecasts(rules_path, &rules)?;
        }
        let senders = rules.targets.iter().map(Sender::new);
        let senders: Vec<Sender> = senders.collect::<anyhow::Result<_>>()?;
        let folder = Folder::open(folder)?;
        let mut deliveries = Vec::new();
        for (target, sender) in rules.targets.iter().zip(senders) {
            let outbox = folder.outbox(&target.name)?;
            if outbox.len() > 0 {
                let waiting = plural(outbox.len() as i64, "notice");
                common.say(format_args!(
                    "target {}: {waiting} of an earlier run waiting",
                    target.name
                ));
            }
            deliveries.push(Delivery::new(&target.name, outbox, sender));
        }
        say_of_removed_targets(&folder, &rules, common)?;
        let rules = Arc::new(rules);
        let mut systems = Vec::new();
        for (source, watch) in watches {
            let name = watch.name();
            let mut state = folder.read_state(&source.url)?.unwrap_or_default();
            let open = state.keep_rules(&rules);
            if open > 0 {
                common.say(format_args!(
                    "{} of rules that are no longer in the file will not be resolved",
                    plural(open as i64, "open notice")
                ));
            }
            let setting = Setting {
                rules: Arc::clone(&rules),
                max_gap: SHORTEST_GAP,
                forecasts: forecasts.clone(),
                // Its address, where no system is named.
                system: (name != source.url).then(|| name.as_str().into()),
                address: source.url.split('?').next().unwrap_or_default().to_owned(),
            };
            let evaluator = Evaluator::new(setting, state);
            systems.push(Mutex::new(SystemAlarms::new(evaluator, source.url.clone())));
        }
        Ok(Self {
            rules,
            folder,
            systems,
            known: Mutex::default(),
            deliveries,
            counts: Mutex::default(),
        })
    }
}

/// Prints how many notices wait for targets that the file does not have any more.
fn say_of_removed_targets(folder: &Folder, rules: &Rules, common: &Common) -> anyhow::Result<()> {
    for name in folder.targets()? {
        if rules.targets.iter().all(|target| target.name != name) {
            let waiting = folder.outbox(&name)?.len();
            if waiting > 0 {
                let waiting = plural(waiting as i64, "notice");
                common.say(format_args!(
                    "{waiting} for {name} will not be sent: the rules have no such target"
                ));
            }
        }
    }
    Ok(())
}

/// Returns the folder of alarms: the one that is named, else one in the store's folder.
///
/// # Errors
///
/// The store has no folder, and none is named.
pub fn folder(named: Option<&Path>, common: &Common) -> anyhow::Result<PathBuf> {
    const NAME: &str = "alarms";
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    match &common.store {
        StoreName::Folder(folder) => Ok(folder.join(NAME)),
        _ => anyhow::bail!(
            "a store on DynamoDB has no folder: name one for the alarms with --alarms DIR"
        ),
    }
}
