//! The Lambda function that a daily schedule calls: counts stations whose counts are missing or outdated.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use divvy_aws::DynamoStore;
use divvy_aws::lambda::failure::{Failure, Payload};
use divvy_aws::lambda::scheduled_refresh::refresh;
use divvy_aws::lambda::settings::Settings;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::de::IgnoredAny;
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
    let handler = async |event: LambdaEvent<Payload<IgnoredAny>>| {
        let now = Timestamp::now();
        let done = handle(event, &store, &settings, now).await;
        // The runtime returns errors to the caller, and a schedule does not log them.
        done.inspect_err(|failure| println!("{}", failure.line(&settings.dimensions, now)))
    };
    run(service_fn(handler)).await
}

async fn handle(
    event: LambdaEvent<Payload<IgnoredAny>>,
    store: &DynamoStore,
    settings: &Settings,
    now: Timestamp,
) -> Result<(), Failure> {
    let (payload, context) = event.into_parts();
    // The event of a schedule has no data.
    let _ = payload.read("JSON")?;
    if store.system().await?.is_none() {
        // The schedule of a new stack begins before anything is stored: nothing is to be counted.
        return Ok(());
    }
    let system = settings.system_of(store).await?;
    let end = SystemTime::UNIX_EPOCH + Duration::from_millis(context.deadline);
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    let deadline = Instant::now() + left;
    let log = refresh(store, &system, deadline, now).await?;
    println!("{}", log.line(&settings.dimensions));
    Ok(())
}
