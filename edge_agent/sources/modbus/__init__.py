"""Controllers that speak Modbus, over TCP or a serial line."""
