-- Never edit this file: stores out there carry its checksum. Add a new one.

-- Random digits at the end of the name of OpenTofu's working directory. Nobody can place files there beforehand.
ALTER TABLE infrastructure ADD COLUMN directory TEXT;
