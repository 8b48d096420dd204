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
)
