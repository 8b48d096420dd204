//! The Lambda function that a daily schedule calls: counts stations whose counts are missing or outdated.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use divvy_aws::DynamoStore;
use divvy_aws::lambda::scheduled_refresh::refresh;
use divvy_aws::lambda::settings::Settings;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Error> {
    let settings = Settings::of_process()?;
    let store = settings.open().await?;
    // The event of a schedule has no data.
    let handler = async |event: LambdaEvent<Value>| {
        // The runtime returns errors to the caller, and a schedule does not log them.
        let done = handle(event.context.deadline, &store, &settings).await;
        done.inspect_err(|error| eprintln!("{error}"))
    };
    run(service_fn(handler)).await
}

/// `deadline_ms` is the end of the invocation in milliseconds since 1970.
async fn handle(deadline_ms: u64, store: &DynamoStore, settings: &Settings) -> Result<(), Error> {
    if store.system().await?.is_none() {
        // The schedule of a new stack begins before anything is stored: nothing is to be counted.
        return Ok(());
    }
    let system = settings.system_of(store).await?;
    let end = SystemTime::UNIX_EPOCH + Duration::from_millis(deadline_ms);
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    let deadline = Instant::now() + left;
    let log = refresh(store, &system, deadline, Timestamp::now()).await?;
    println!("{}", log.line(&settings.dimensions));
    Ok(())
}
