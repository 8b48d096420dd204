//! The Lambda function that a schedule calls: polls a feed.

use std::process::ExitCode;

use divvy_aws::DynamoStore;
use divvy_aws::lambda::scheduled_poll::poll;
use divvy_aws::lambda::settings::Settings;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

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
    let feed = settings.feed.as_deref();
    let feed = feed.ok_or("DIVVY_FEED_URL is not set: it says which feed to poll")?;
    let store = settings.open().await?;
    // The event of a schedule has no data.
    let handler = async |_: LambdaEvent<Value>| {
        // The runtime returns errors to the caller, and a schedule does not log them.
        let done = handle(feed, &store, &settings).await;
        done.inspect_err(|error| eprintln!("{error}"))
    };
    run(service_fn(handler)).await
}

async fn handle(feed: &str, store: &DynamoStore, settings: &Settings) -> Result<(), Error> {
    let polled = poll(feed, store, settings.system.as_ref(), Timestamp::now()).await?;
    println!("{}", polled.line(&settings.dimensions));
    Ok(())
}
