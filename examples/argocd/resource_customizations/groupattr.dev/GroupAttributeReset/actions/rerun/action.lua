-- Asks for one more reset by a requestID that this object never had: its generation grows with every change of its
-- spec. The time is for people. A second click before the end is refused: it would clear the group twice.
local os = require("os")
local finished = false
if obj.status ~= nil and obj.status.observedGeneration == obj.metadata.generation then
  for _, condition in ipairs(obj.status.conditions or {}) do
    finished = finished or (condition.type == "Finished" and condition.status == "True")
  end
end
if not finished then
  error("the reset has not ended yet; rerun is for finished ones", 0)
end
obj.spec.requestID = "argocd-" .. os.date("!%Y%m%dT%H%M%SZ") .. "-" .. obj.metadata.generation
return obj
