CREATE DATABASE IF NOT EXISTS `divvy`;

CREATE EXTERNAL TABLE IF NOT EXISTS `divvy`.`trips` (
  `trip_id` string COMMENT 'as published, or derived where the file has none',
  `started_at` timestamp COMMENT 'start on the wall clock of the system',
  `ended_at` timestamp COMMENT 'end on the wall clock of the system',
  `started_at_utc` timestamp COMMENT 'start in UTC',
  `ended_at_utc` timestamp COMMENT 'end in UTC',
  `started_offset_s` int COMMENT 'seconds east of UTC at the start',
  `ended_offset_s` int COMMENT 'seconds east of UTC at the end',
  `precision_ms` int COMMENT 'how fine the times of the file are: 60000, 1000 or 1 ms',
  `ride_duration_s` bigint COMMENT 'seconds that reports use: reported_duration_s, else the time between both instants, rounded down',
  `reported_duration_s` bigint COMMENT 'seconds that the publisher states, whatever they are',
  `from_station_id` string COMMENT 'origin as published, NULL away from a station',
  `from_station_name` string COMMENT 'its name in the file of the trip, in its latest spelling',
  `to_station_id` string COMMENT 'destination as published, NULL away from a station',
  `to_station_name` string COMMENT 'its name in the file of the trip, in its latest spelling',
  `vehicle_id` string COMMENT 'as published',
  `rideable_type` string COMMENT 'kind of bike, as published',
  `rider` string COMMENT 'member, casual, dependent, unknown, or another word of the publisher',
  `gender` string COMMENT 'as published',
  `birth_year` int COMMENT 'year of birth, as published',
  `from_latitude` decimal(9,6) COMMENT 'latitude of the start',
  `from_longitude` decimal(9,6) COMMENT 'longitude of the start',
  `to_latitude` decimal(9,6) COMMENT 'latitude of the end',
  `to_longitude` decimal(9,6) COMMENT 'longitude of the end',
  `flags` array<string> COMMENT 'what is noteworthy: ends_before_start, zero_length, under_60_s, over_24_h, no_origin, no_destination, test_station, no_coordinates, far_away, clock_change, odd_year, other_words',
  `archive` string COMMENT 'file name of the archive that the trip was loaded from'
)
COMMENT 'Trips, each once, by the month of their local start'
PARTITIONED BY (
  `system` string COMMENT 'the id of the system',
  `year` int COMMENT 'year of the local start',
  `month` int COMMENT 'month of the local start, 1 to 12'
)
STORED AS PARQUET
LOCATION 's3://my-bucket/divvy/trips/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'projection.system.type' = 'enum',
  'projection.system.values' = 'divvy',
  'projection.year.type' = 'integer',
  'projection.year.range' = '2021,2021',
  'projection.month.type' = 'integer',
  'projection.month.range' = '1,12',
  'projection.month.digits' = '2',
  'storage.location.template' = 's3://my-bucket/divvy/trips/system=${system}/year=${year}/month=${month}'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `divvy`.`from_station_counts` (
  `from_station_id` string COMMENT 'the id as the trips use it',
  `from_count` bigint COMMENT 'stored trips that start there',
  `trips_version` bigint COMMENT 'version of the trips of the station that was counted',
  `refreshed_at` timestamp COMMENT 'when it was counted, UTC'
)
COMMENT 'Departures by station id, as the change stream counted them last'
PARTITIONED BY (
  `system` string COMMENT 'the id of the system'
)
STORED AS PARQUET
LOCATION 's3://my-bucket/divvy/from_station_counts/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'projection.system.type' = 'enum',
  'projection.system.values' = 'divvy',
  'storage.location.template' = 's3://my-bucket/divvy/from_station_counts/system=${system}'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `divvy`.`stations` (
  `station_id` string COMMENT 'id of the feed, or of the trips where no feed has the station',
  `name` string COMMENT 'name of the feed, else the latest in the trips',
  `latitude` double COMMENT 'as published, else the mean of the trip ends there',
  `longitude` double COMMENT 'as published, else the mean of the trip ends there',
  `status` string COMMENT 'what the newest snapshot says, not in feed where it lacks the station, NULL without a feed',
  `available_bikes` int COMMENT 'vehicles that can be rented, e-bikes included',
  `available_ebikes` int COMMENT 'e-bikes among them',
  `available_docks` int COMMENT 'docks that accept a vehicle',
  `total_docks` int COMMENT 'docks installed',
  `reported_at` timestamp COMMENT 'when the station last reported, UTC',
  `from_count` bigint COMMENT 'stored trips that start here',
  `to_count` bigint COMMENT 'stored trips that end here',
  `place_id` string COMMENT 'unlike station_id, no two rows of a system share it',
  `trip_station_ids` array<string> COMMENT 'ids that trips use for it, some of which publishers have given to other stations, too'
)
COMMENT 'Stations as the report of that name has them, with the ids that trips use for each'
PARTITIONED BY (
  `system` string COMMENT 'the id of the system'
)
STORED AS PARQUET
LOCATION 's3://my-bucket/divvy/stations/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'projection.system.type' = 'enum',
  'projection.system.values' = 'divvy',
  'storage.location.template' = 's3://my-bucket/divvy/stations/system=${system}'
);
