-- Devices that prove who they are, commands to them and their configuration.

SELECT;
