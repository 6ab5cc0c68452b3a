-- Attempts may start again, and the clock of activeDeadlineSeconds starts anew.
obj.spec.suspend = false
return obj
