-- No attempt starts from now on; one in flight ends normally.
obj.spec.suspend = true
return obj
